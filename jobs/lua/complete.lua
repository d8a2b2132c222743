-- Ends a job that completed without its record knowing of the run: the record,
-- the push of the end and Asynq's "task is done", all or none. See run.go.
-- Behind append, which is nil when nothing is pushed, and entry.
-- KEYS: record, open; active, lease, task, processed and total of Asynq's own
-- script and our own leases when removes is 1; then those of append.
-- ARGV: id, now, retention, to: the destination that the push goes to or "",
-- result, began, removes, number of fields and values of a new record; these;
-- task, expiry and largest count of Asynq's own script and the token of the task's
-- hand-out when removes is 1; then those of append.
-- Returns {0} when something else decides, the record or the mailbox, else {1,
-- removed: 1 when Asynq's part is done too, what append returned}.
-- Invariant: it changes nothing unless the job is as take.lua saw it: open, not
-- cancelled, without a run, and with the one destination; and the task is still
-- with the worker that it was handed out to.
local rec, open = KEYS[1], KEYS[2]
local id, now, retention, to, result, began, removes, new = unpack(ARGV, 1, 8)
new = tonumber(new)
local gen, fin, run, cancel, ton, to0, st, kind, queue, made, steps =
  unpack(redis.call("HMGET", rec, "gen", "fin", "run", "cancel", "ton", "to0", "st", "kind", "queue", "made", "steps"))
if gen then
  if new > 0 or gen ~= "1" or fin == gen or (run or "0") ~= "0" then return {0} end
  if cancel or tonumber(ton or "0") > 1 or (to0 or "") ~= to then return {0} end
elseif new == 0 then
  return {0}
end

local k, a = 2, 8 + new -- the keys and arguments before those of append
local active, lease, task, processed, total, own, taskID, expiry, most, token
if removes == "1" then
  active, lease, task, processed, total, own = unpack(KEYS, 3, 8)
  taskID, expiry, most, token = unpack(ARGV, a + 1, a + 4)
  k, a = k + 6, a + 4
  if (redis.call("HGET", task, "lmh") or "") ~= token then return {0} end
end
local pushed
if append then
  pushed = append({unpack(KEYS, k + 1)}, {unpack(ARGV, a + 1)})
  local code = pushed[1]
  if code > 1 then return {0} end -- refused
end
if new > 0 then
  redis.call("HSET", rec, unpack(ARGV, 9, 8 + new))
  kind, queue, made = unpack(redis.call("HMGET", rec, "kind", "queue", "made"))
  enter(open, entry("completed", kind, queue, made, now, id))
else
  move(open, entry(st, kind, queue, made, nil, id), entry("completed", kind, queue, made, now, id))
  redis.call("ZREM", open, id)
end
redis.call("HSET", rec, "fin", 1, "run", 1, "att", 1, "st", "completed", "start", began, "end", now, "upd", now, "res", result)
redis.call("PEXPIRE", rec, retention)
if steps then redis.call("PEXPIRE", string.sub(open, 1, -5) .. "d:" .. id, retention) end -- answers nobody asked for

local removed = 0
if removes == "1" and redis.call("LREM", active, 0, taskID) > 0 then
  redis.call("ZREM", lease, taskID)
  if token ~= "" then redis.call("ZREM", own, taskID) end
  redis.call("DEL", task)
  if redis.call("INCR", processed) == 1 then redis.call("EXPIREAT", processed, expiry) end
  if redis.call("GET", total) == most then
    redis.call("SET", total, 1)
  else
    redis.call("INCR", total)
  end
  removed = 1
end
return {1, removed, pushed}
