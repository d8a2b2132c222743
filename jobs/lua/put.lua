-- Makes a job's record and puts its task into Asynq's queue, both or neither.
-- Behind wake, and create with an offset of 9.
-- KEYS: record, open, task, pending, idle, the session's list if there is one.
-- ARGV: the task's message, its ID, now in ns (as Asynq's own script has them),
-- what take.lua may go by or "", what begins the channels, time made, most to
-- list, lifetime of the list, the job's ID, then the arguments of create.
-- Returns what create returns, 1 when the task was put in, 1 when nobody could be
-- told of it.
if KEYS[6] then
  redis.call("ZADD", KEYS[6], ARGV[6], ARGV[9])
  redis.call("ZREMRANGEBYRANK", KEYS[6], 0, -ARGV[7] - 1)
  if redis.call("PTTL", KEYS[6]) < ARGV[8] - 3600000 then redis.call("PEXPIRE", KEYS[6], ARGV[8]) end
end
local r = create(KEYS, ARGV)
r[5], r[6] = 0, 0
if (r[1] == "new" or r[1] == "open" and r[3] == 0) and redis.call("EXISTS", KEYS[3]) == 0 then
  redis.call("HSET", KEYS[3], "msg", ARGV[1], "state", "pending", "pending_since", ARGV[3], "lm", ARGV[4])
  redis.call("LPUSH", KEYS[4], ARGV[2])
  r[5] = 1
  local _, denied = wake(KEYS[5], ARGV[5], KEYS[4], 1)
  if denied then r[6] = 1 end
end
return r
