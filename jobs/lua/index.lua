-- Lists a job with its session, and bounds the list.
-- KEYS: list. ARGV: made, id, length, lifetime in ms. A longer lifetime stays.
redis.call("ZADD", KEYS[1], ARGV[1], ARGV[2])
redis.call("ZREMRANGEBYRANK", KEYS[1], 0, -tonumber(ARGV[3]) - 1)
if redis.call("PTTL", KEYS[1]) < ARGV[4] - 3600000 then redis.call("PEXPIRE", KEYS[1], ARGV[4]) end
return 1
