-- Ties the first run of a job to the job's record, which it makes for a plain
-- one when there is none. Behind entry.
-- KEYS: record, open.
-- ARGV: id, now, checkAt, the name of the worker, then field, value, ... of a plain job's record.
-- Returns {verdict, state}: run; over; or stale when another run has the job.
-- Invariant: only a first generation without a run gains one.
local rec, open = KEYS[1], KEYS[2]
local id, now, checkAt, worker, plain = unpack(ARGV, 1, 5)
if plain and redis.call("EXISTS", rec) == 0 then redis.call("HSET", rec, unpack(ARGV, 5)) end
local gen, fin, run, st, kind, queue, made = unpack(redis.call("HMGET", rec, "gen", "fin", "run", "st", "kind", "queue", "made"))
if gen ~= "1" or (run or "0") ~= "0" then return {fin == gen and "over" or "stale", st} end
if fin == gen then return {"over", st} end
redis.call("HSET", rec, "run", 1, "att", 1, "st", "running", "hb", now, "start", now, "upd", now, "worker", worker)
enter(open, entry("running", kind, queue, made, nil, id))
redis.call("ZADD", open, checkAt, id)
return {"run", "running"}
