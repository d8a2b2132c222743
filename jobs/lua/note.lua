-- Notes with a task that goes back to its queue that its job has a record which
-- knows of a run: see take.lua. Unless it waits for another version of the
-- worker, one could run it, so that wait is over; and a worker that survived the run
-- clears the task of those that died among others.
-- KEYS: task. ARGV: what take.lua may go by, 1 when it waits for another version,
-- 1 when the handler has come to its end, token of the task's hand-out or "".
-- Returns 0 when there is no such task, or it is another worker's.
if redis.call("EXISTS", KEYS[1]) == 0 then return 0 end
if ARGV[4] ~= "" and redis.call("HGET", KEYS[1], "lmh") ~= ARGV[4] then return 0 end
redis.call("HSET", KEYS[1], "lm", ARGV[1])
if ARGV[2] ~= "1" then redis.call("HDEL", KEYS[1], "lmv") end
if ARGV[3] == "1" then redis.call("HDEL", KEYS[1], "lmlost", "lmsus") end
return 1
