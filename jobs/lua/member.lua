-- Notes the end of a batch's member.
-- KEYS: batch. ARGV: member, state.
-- Returns 1 when all have ended, 0 when not, -1 when there is no such batch.
local batch = KEYS[1]
local member, state = unpack(ARGV)
local n = redis.call("HGET", batch, "n")
if not n then return -1 end
redis.call("HSET", batch, "m:" .. member, state)
if redis.call("HLEN", batch) - 3 >= tonumber(n) then return 1 end
return 0
