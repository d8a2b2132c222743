-- count_start: counts the start of a redelivered entry, unless enough are counted.
-- KEYS 1 starts
-- ARGV 1 seq, 2 lifetime (s), 3 how many may be counted
-- Returns how many were counted before: this one counts if they were fewer.
local before = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
if before < tonumber(ARGV[3]) then
  redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
  redis.call('EXPIRE', KEYS[1], ARGV[2])
end
return before
