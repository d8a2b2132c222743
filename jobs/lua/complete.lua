-- Ends a job that completed without its record knowing of the execution: the
-- record, the push of the end and Asynq's "task is done", all or none. See
-- run.go. Behind append, which is nil when nothing is pushed.
-- KEYS: record, open, five of Asynq's own script if ARGV says so, then those of
-- append. ARGV: id, now, retention, destination that the push goes to or "",
-- result, start, 1 with Asynq's part, number of fields and values of a new
-- record, these, three of Asynq's own script, then those of append.
-- Returns {0} when something else decides, the record or the mailbox, else {1,
-- 1 when Asynq's part is done too, what append returned}.
local rec, open, new = KEYS[1], KEYS[2], tonumber(ARGV[8])
local v = redis.call("HMGET", rec, "gen", "fin", "run", "cancel", "ton", "to0")
if v[1] then
  if new > 0 or v[1] ~= "1" or v[2] == v[1] or (v[3] or "0") ~= "0" then return {0} end
  if v[4] or tonumber(v[5] or "0") > 1 or (v[6] or "") ~= ARGV[4] then return {0} end
elseif new == 0 then
  return {0}
end

local k, a = 2, 8 + new
if ARGV[7] == "1" then k, a = k + 5, a + 3 end
local pushed
if append then
  pushed = append({unpack(KEYS, k + 1)}, {unpack(ARGV, a + 1)})
  if pushed[1] > 1 then return {0} end -- refused
end
if new > 0 then
  redis.call("HSET", rec, unpack(ARGV, 9, 8 + new))
else
  redis.call("ZREM", open, ARGV[1])
end
redis.call("HSET", rec, "fin", 1, "run", 1, "att", 1, "st", "completed", "start", ARGV[6], "end", ARGV[2], "upd", ARGV[2], "res", ARGV[5])
redis.call("PEXPIRE", rec, ARGV[3])

local done = 0
if ARGV[7] == "1" and redis.call("LREM", KEYS[3], 0, ARGV[a - 2]) > 0 then
  redis.call("ZREM", KEYS[4], ARGV[a - 2])
  redis.call("DEL", KEYS[5])
  if redis.call("INCR", KEYS[6]) == 1 then redis.call("EXPIREAT", KEYS[6], ARGV[a - 1]) end
  if redis.call("GET", KEYS[7]) == ARGV[a] then
    redis.call("SET", KEYS[7], 1)
  else
    redis.call("INCR", KEYS[7])
  end
  done = 1
end
return {1, done, pushed}
