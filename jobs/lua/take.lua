-- Takes up to n tasks out of a queue for one worker, each as Asynq's own script
-- takes one.
-- KEYS: pending, paused, active, lease. ARGV: lease end, prefix of task keys, n.
-- Returns {id, message, ...}.
if redis.call("EXISTS", KEYS[2]) == 1 then return {} end
local r, leases = {}, {}
for _ = 1, tonumber(ARGV[3]) do
  local id = redis.call("RPOPLPUSH", KEYS[1], KEYS[3])
  if not id then break end
  local key = ARGV[2] .. id
  redis.call("HSET", key, "state", "active")
  redis.call("HDEL", key, "pending_since")
  leases[#leases + 1] = ARGV[1]
  leases[#leases + 1] = id
  local msg = redis.call("HGET", key, "msg")
  if msg then
    r[#r + 1] = id
    r[#r + 1] = msg
  end
end
if #leases > 0 then redis.call("ZADD", KEYS[4], unpack(leases)) end
return r
