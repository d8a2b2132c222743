-- Gives tasks back that were taken and not started: at the head of their queue, or
-- for a while later, with what Asynq knows of them unchanged.
-- Behind wake.
-- KEYS: pending, active, lease, idle, own leases, where tasks wait for later. ARGV:
-- prefix of task keys, what begins the channels, blind, seconds to wait, then each
-- task and its token, the one taken last first.
-- Returns how many it gave back.
local n, t = 0, redis.call("TIME")
local wait = tonumber(ARGV[4])
for i = 5, #ARGV, 2 do
  local id, task = ARGV[i], ARGV[1] .. ARGV[i]
  if (redis.call("HGET", task, "lmh") or "") == ARGV[i + 1] and redis.call("LREM", KEYS[2], 1, id) > 0 then
    redis.call("ZREM", KEYS[3], id)
    redis.call("ZREM", KEYS[5], id)
    redis.call("HDEL", task, "lmh")
    if wait > 0 then
      redis.call("ZADD", KEYS[6], t[1] + wait, id)
      redis.call("HSET", task, "state", "retry")
    else
      redis.call("RPUSH", KEYS[1], id)
      redis.call("HSET", task, "state", "pending", "pending_since", t[1] .. string.format("%06d000", t[2]))
      n = n + 1
    end
  end
end
wake(KEYS[4], ARGV[2], KEYS[1], n, ARGV[3])
return n
