-- Puts a task into Asynq's queue as Asynq's own script does, and wakes a worker.
-- Behind wake and awaits.
-- KEYS: task, pending, idle, the record that waits for the task if there is one.
-- ARGV: the task's message, its ID, now in ns (as Asynq's own script has them), what
-- begins the channels, blind, with a record its generation, and only.
-- Returns {1 when it was put in, 0 when there is one of that ID or the record does
-- not wait; 1 when nobody could be told}.
if KEYS[4] and not awaits(KEYS[4], ARGV[6], ARGV[7]) then return {0, 0} end
if redis.call("EXISTS", KEYS[1]) == 1 then return {0, 0} end
redis.call("HSET", KEYS[1], "msg", ARGV[1], "state", "pending", "pending_since", ARGV[3])
redis.call("LPUSH", KEYS[2], ARGV[2])
if KEYS[4] then redis.call("HDEL", KEYS[4], "opened") end
local _, denied = wake(KEYS[3], ARGV[4], KEYS[2], 1, ARGV[5])
return {1, denied and 1 or 0}
