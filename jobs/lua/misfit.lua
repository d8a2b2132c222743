-- Notes with a task since when it waits for a worker whose version can run it, and
-- who could not last: others are woken for it first (see sweep.lua).
-- KEYS: task. ARGV: token of the task's hand-out or "", the worker or "".
-- Returns for how long by now, in ms; -1 when there is no such task, or it is another
-- worker's.
if redis.call("EXISTS", KEYS[1]) == 0 then return -1 end
if ARGV[1] ~= "" and redis.call("HGET", KEYS[1], "lmh") ~= ARGV[1] then return -1 end
local t = redis.call("TIME")
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call("HSET", KEYS[1], "lmno", ARGV[2])
redis.call("HSETNX", KEYS[1], "lmv", string.format("%.0f", now))
return math.max(0, now - tonumber(redis.call("HGET", KEYS[1], "lmv")))
