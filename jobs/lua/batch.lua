-- Makes a batch of what is staged for it, unless there is one of that ID.
-- KEYS: staging, batch. ARGV: life in ms.
-- Returns 1, or 0 when the batch was known.
-- Invariant: a batch has all of its steps from the first moment.
local staging, batch = KEYS[1], KEYS[2]
local life = unpack(ARGV)
if redis.call("EXISTS", batch) == 1 or redis.call("EXISTS", staging) == 0 then return 0 end
redis.call("RENAME", staging, batch)
redis.call("PEXPIRE", batch, life)
return 1
