-- Lists a job that is known by its task alone, before there is one.
-- KEYS: index. ARGV: entry. Returns 1, or 0 when it was listed.
return redis.call("ZADD", KEYS[1], 0, ARGV[1])
