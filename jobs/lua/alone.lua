-- Notes with a task whether its worker has nothing else by now: what the worker
-- dies of then is this task. See deaths.go.
-- KEYS: task. ARGV: token of the hand-out, 1 when it is alone.
-- Returns 1, or 0 when the task is another worker's.
-- Invariant: a note is of one hand-out, so no other one is charged by it.
if redis.call("HGET", KEYS[1], "lmh") ~= ARGV[1] then return 0 end
redis.call("HDEL", KEYS[1], "lmsus")
if ARGV[2] == "1" then
  redis.call("HSET", KEYS[1], "lmalone", ARGV[1])
else
  redis.call("HDEL", KEYS[1], "lmalone")
end
return 1
