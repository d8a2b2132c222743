-- Ties the first run of a job to the job's record, which it makes for a plain
-- one when there is none. Behind entry.
-- KEYS: record, open, and the task where it is on the same server.
-- ARGV: id, now, checkAt, the name of the worker, token of the task's hand-out or
-- "", then field, value, ... of a plain job's record.
-- Returns {verdict, state}: run; over; or stale when another run has the job.
-- Invariant: only a first generation without a run gains one, of whoever has the
-- task; a repeat of a call whose answer was lost is answered alike.
local rec, open, task = unpack(KEYS, 1, 3)
local id, now, checkAt, worker, token, plain = unpack(ARGV, 1, 6)
if task and token ~= "" and redis.call("HGET", task, "lmh") ~= token then return {"stale", ""} end
if plain and redis.call("EXISTS", rec) == 0 then redis.call("HSET", rec, unpack(ARGV, 6)) end
local gen, fin, run, st, kind, queue, made, tok = unpack(redis.call("HMGET", rec, "gen", "fin", "run", "st", "kind", "queue", "made", "tok"))
if gen == "1" and not fin and run == "1" and token ~= "" and tok == token then return {"run", st} end
if gen ~= "1" or (run or "0") ~= "0" then return {fin == gen and "over" or "stale", st} end
if fin == gen then return {"over", st} end
redis.call("HSET", rec, "run", 1, "att", 1, "st", "running", "hb", now, "start", now, "upd", now, "worker", worker, "tok", token)
enter(open, entry("running", kind, queue, made, nil, id))
redis.call("ZADD", open, checkAt, id)
return {"run", "running"}
