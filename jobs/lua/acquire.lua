-- Takes a place under a concurrency limit, or renews it.
-- KEYS: places. ARGV: now, member, lease end, places, lease in ms.
-- Returns 1 when the place is taken.
redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", ARGV[1])
if not redis.call("ZSCORE", KEYS[1], ARGV[2]) and redis.call("ZCARD", KEYS[1]) >= tonumber(ARGV[4]) then return 0 end
redis.call("ZADD", KEYS[1], ARGV[3], ARGV[2])
redis.call("PEXPIRE", KEYS[1], ARGV[5])
return 1
