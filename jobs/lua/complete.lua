-- Ends a plain job that nothing has a record of: makes its record, over already.
-- KEYS: record. ARGV: retention, then field, value, ... of the record.
-- Returns 0 when there is a record, which then decides.
if redis.call("EXISTS", KEYS[1]) == 1 then return 0 end
redis.call("HSET", KEYS[1], unpack(ARGV, 2))
redis.call("PEXPIRE", KEYS[1], ARGV[1])
return 1
