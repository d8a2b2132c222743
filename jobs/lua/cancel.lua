-- Asks for a job's cancellation. From here on it cannot end in another state.
-- KEYS: record. ARGV: now.
-- Returns {verdict, gen, run, state}: gone, over, owed, signal (a worker has
-- it), idle (nobody has it: the caller ends it).
local rec = KEYS[1]
local v = redis.call("HMGET", rec, "gen", "fin", "run", "st", "out")
if not v[1] then return {"gone", 0, 0, ""} end
local gen, run = tonumber(v[1]), tonumber(v[3] or "0")
if v[2] == v[1] then return {v[5] and "owed" or "over", gen, run, v[4]} end
redis.call("HSET", rec, "cancel", 1, "upd", ARGV[1])
return {v[4] == "running" and "signal" or "idle", gen, run, v[4]}
