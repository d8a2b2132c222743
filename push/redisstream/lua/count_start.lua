-- count_start: counts the start of a redelivered entry, unless enough are counted.
--
-- KEYS 1 starts
-- ARGV 1 seq, 2 lifetime (s), 3 how many may be counted
-- Returns how many were counted before: this one counts if they were fewer.
--
-- The hash starts has a field for each entry that was started since it was last
-- survived; no field is above what may be counted.
local starts, id, lifetime, most = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])

local before = tonumber(redis.call('HGET', starts, id) or '0')
if before < most then
  redis.call('HINCRBY', starts, id, 1)
  redis.call('EXPIRE', starts, lifetime)
end
return before
