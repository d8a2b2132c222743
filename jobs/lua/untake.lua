-- Gives tasks back that were taken and not started: at the head of their queue,
-- with what Asynq knows of them unchanged.
-- Behind wake.
-- KEYS: pending, active, lease, idle. ARGV: prefix of task keys, what begins the
-- channels, blind, then the tasks, the one taken last first.
-- Returns how many it gave back.
local n, t = 0, redis.call("TIME")
for i = 4, #ARGV do
  local id = ARGV[i]
  if redis.call("LREM", KEYS[2], 0, id) > 0 and redis.call("ZREM", KEYS[3], id) > 0 then
    redis.call("RPUSH", KEYS[1], id)
    redis.call("HSET", ARGV[1] .. id, "state", "pending", "pending_since", t[1] .. string.format("%06d000", t[2]))
    n = n + 1
  end
end
wake(KEYS[4], ARGV[2], KEYS[1], n, ARGV[3])
return n
