-- Ties the first execution of a job to the job's record, which it makes for a
-- plain one when there is none.
-- KEYS: record, open. ARGV: id, now, check at, then field, value, ... of a plain
-- job's record.
-- Returns {verdict, state}: run, over, or stale when another execution
-- owns the job.
local rec = KEYS[1]
if ARGV[4] and redis.call("EXISTS", rec) == 0 then redis.call("HSET", rec, unpack(ARGV, 4)) end
local v = redis.call("HMGET", rec, "gen", "fin", "run", "st")
if v[1] ~= "1" or (v[3] or "0") ~= "0" then
  return {v[2] == v[1] and "over" or "stale", v[4]}
end
if v[2] == v[1] then return {"over", v[4]} end
redis.call("HSET", rec, "run", 1, "att", 1, "st", "running", "hb", ARGV[2], "start", ARGV[2], "upd", ARGV[2])
redis.call("ZADD", KEYS[2], ARGV[3], ARGV[1])
return {"run", "running"}
