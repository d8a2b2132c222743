-- take: raises a connection's fence and returns its record.
-- KEYS 1 connection
-- ARGV 1 lifetime (ms)
-- Returns {view, state, cursor, client, fence, epoch}, or nothing without a record.
if redis.call('EXISTS', KEYS[1]) == 0 then return {} end
redis.call('HINCRBY', KEYS[1], 'f', 1)
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return redis.call('HMGET', KEYS[1], 'v', 's', 'c', 'm', 'f', 'e')
