-- Lists a job with its session, and bounds the list.
-- KEYS: list. ARGV: made, id, length, lifetime.
redis.call("ZADD", KEYS[1], ARGV[1], ARGV[2])
redis.call("ZREMRANGEBYRANK", KEYS[1], 0, -tonumber(ARGV[3]) - 1)
redis.call("PEXPIRE", KEYS[1], ARGV[4])
return 1
