-- Gives tasks back that were taken and not started: at the head of their queue,
-- with what Asynq knows of them unchanged.
-- KEYS: pending, active, lease. ARGV: prefix of task keys, now in ns, then the
-- tasks, the one taken last first.
-- Returns how many it gave back.
local n = 0
for i = 3, #ARGV do
  local id = ARGV[i]
  if redis.call("LREM", KEYS[2], 0, id) > 0 and redis.call("ZREM", KEYS[3], id) > 0 then
    redis.call("RPUSH", KEYS[1], id)
    redis.call("HSET", ARGV[1] .. id, "state", "pending", "pending_since", ARGV[2])
    n = n + 1
  end
end
return n
