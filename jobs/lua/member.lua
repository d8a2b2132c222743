-- Notes the end of a batch's member.
-- KEYS: batch. ARGV: member, state.
-- Returns 1 when all have ended, 0 when not, -1 when there is no such batch.
local n = redis.call("HGET", KEYS[1], "n")
if not n then return -1 end
redis.call("HSET", KEYS[1], "m:" .. ARGV[1], ARGV[2])
if redis.call("HLEN", KEYS[1]) - 3 >= tonumber(n) then return 1 end
return 0
