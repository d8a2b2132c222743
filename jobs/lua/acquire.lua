-- Takes a place under a concurrency limit, or renews it.
-- KEYS: places, those who wait. ARGV: now, member, lease end, places, lease in
-- ms, job, and of a job's wait the least, the most and the share of each that
-- waits already, in ms.
-- Returns 0 when the place is taken, else how long to wait in ms.
redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", ARGV[1])
if redis.call("ZSCORE", KEYS[1], ARGV[2]) or redis.call("ZCARD", KEYS[1]) < tonumber(ARGV[4]) then
  redis.call("ZADD", KEYS[1], ARGV[3], ARGV[2])
  redis.call("PEXPIRE", KEYS[1], ARGV[5])
  redis.call("ZREM", KEYS[2], ARGV[6])
  return 0
end
-- Many that wait look less often each, so that the looks together stay few.
redis.call("ZREMRANGEBYSCORE", KEYS[2], "-inf", ARGV[1])
redis.call("ZREM", KEYS[2], ARGV[6])
local wait = math.min(math.max(redis.call("ZCARD", KEYS[2]) * tonumber(ARGV[9]), tonumber(ARGV[7])), tonumber(ARGV[8]))
redis.call("ZADD", KEYS[2], ARGV[1] + 2 * wait, ARGV[6])
redis.call("PEXPIRE", KEYS[2], 2 * ARGV[8])
return wait
