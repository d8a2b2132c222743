-- Notes with a task that goes back to its queue that its job has a record which
-- knows of a run: see take.lua. Unless it waits for another version of the
-- worker, one could run it, so that wait is over.
-- KEYS: task. ARGV: what take.lua may go by, 1 when it waits for another version.
-- Returns 0 when there is no such task.
if redis.call("EXISTS", KEYS[1]) == 0 then return 0 end
redis.call("HSET", KEYS[1], "lm", ARGV[1])
if ARGV[2] ~= "1" then redis.call("HDEL", KEYS[1], "lmv") end
return 1
