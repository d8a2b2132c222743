-- Opens the next generation of a job that is over.
-- KEYS: record, open. ARGV: id, gen, now, check at, destination or "", unique
-- until or "" to keep both and all destinations, token of the call: a repeat
-- after a lost answer is answered alike; state, then field, value, ... of what is
-- asked for now.
-- Returns the new generation, 0 when the job is not over in that generation,
-- or -1 when its terminal event is still owed.
local rec, open = KEYS[1], KEYS[2]
local v = redis.call("HMGET", rec, "gen", "fin", "out", "ton", "tok")
if v[5] == ARGV[7] then return tonumber(v[1]) end
if v[1] ~= ARGV[2] or v[2] ~= v[1] then return 0 end
if v[3] then return -1 end
redis.call("HDEL", rec, "cancel", "res", "code", "err", "frac", "msg", "next", "end", "hb", "start", "outn", "why", "went")
if ARGV[6] ~= "" then -- asked for anew: those who asked before have had their answer
  for i = 0, tonumber(v[4] or "0") - 1 do redis.call("HDEL", rec, "to" .. i) end
  redis.call("HDEL", rec, "ton", "follow")
  if ARGV[5] ~= "" then redis.call("HSET", rec, "to0", ARGV[5], "ton", 1) end
  redis.call("HSET", rec, "uni", ARGV[6])
end
local gen = redis.call("HINCRBY", rec, "gen", 1)
redis.call("HSET", rec, "st", ARGV[8], "att", 0, "upd", ARGV[3], "tok", ARGV[7])
if ARGV[9] then redis.call("HSET", rec, unpack(ARGV, 9)) end
redis.call("PERSIST", rec)
redis.call("ZADD", open, ARGV[4], ARGV[1])
return gen
