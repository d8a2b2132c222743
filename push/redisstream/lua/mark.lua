-- mark: counts the starts of a redelivered entry.
-- KEYS 1 marks
-- ARGV 1 seq, 2 lifetime (s)
-- Returns the count.
local n = redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
redis.call('EXPIRE', KEYS[1], ARGV[2])
return n
