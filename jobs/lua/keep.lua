-- Renews the leases of tasks that a worker has, by Redis's clock: our own and the
-- one that Asynq's tools go by.
-- KEYS: own leases, lease. ARGV: prefix of task keys, own lease in ms, then each
-- task and its token.
-- Returns the tasks that are not the worker's any more.
-- The first write needs no memory, and Redis refuses none after it: a worker that
-- lives keeps its tasks when Redis is full.
redis.call("ZREM", KEYS[1], "")
local t, lost = redis.call("TIME"), {}
local ends = t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[2]
for i = 3, #ARGV, 2 do
  if redis.call("HGET", ARGV[1] .. ARGV[i], "lmh") == ARGV[i + 1] then
    redis.call("ZADD", KEYS[1], ends, ARGV[i])
    redis.call("ZADD", KEYS[2], "XX", t[1] + 30, ARGV[i])
  else
    lost[#lost + 1] = ARGV[i]
  end
end
return lost
