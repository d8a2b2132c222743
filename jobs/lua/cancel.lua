-- Asks for a job's cancellation.
-- KEYS: record. ARGV: now.
-- Returns {verdict, gen, run, state}: gone, over, undelivered, signal (a worker
-- has it) or idle (nobody has it: the caller ends it).
-- Invariant: from here on this generation ends as cancelled or not at all.
local rec = KEYS[1]
local now = unpack(ARGV)
local gen, fin, run, st, out = unpack(redis.call("HMGET", rec, "gen", "fin", "run", "st", "out"))
if not gen then return {"gone", 0, 0, ""} end
gen, run = tonumber(gen), tonumber(run or "0")
if tonumber(fin or "0") == gen then return {out and "undelivered" or "over", gen, run, st} end
redis.call("HSET", rec, "cancel", 1, "upd", now)
return {st == "running" and "signal" or "idle", gen, run, st}
