-- Sends an execution back to wait: a retry, a snooze or a stop of the worker.
-- KEYS: record, open. ARGV: id, gen, run, now, check at, state, next, give the
-- attempt back (0 or 1), code, error.
-- Returns 1, 2 when a cancellation is asked for, or -1 when the run is stale. A
-- repeat of a call whose answer was lost changes nothing.
local rec, open = KEYS[1], KEYS[2]
local v = redis.call("HMGET", rec, "gen", "fin", "run", "cancel", "st", "next")
if v[1] ~= ARGV[2] or v[2] == v[1] or v[3] ~= ARGV[3] then return -1 end
if v[4] == "1" then return 2 end
if v[5] == ARGV[6] and v[6] == ARGV[7] then return 1 end
redis.call("HSET", rec, "st", ARGV[6], "next", ARGV[7], "upd", ARGV[4])
if ARGV[8] == "1" then redis.call("HINCRBY", rec, "att", -1) end
if ARGV[9] ~= "" then redis.call("HSET", rec, "code", ARGV[9], "err", ARGV[10]) end
redis.call("ZADD", open, ARGV[5], ARGV[1])
return 1
