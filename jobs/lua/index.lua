-- Lists a job with its session, and bounds the list.
-- KEYS: list. ARGV: made, id, most, life in ms.
-- Returns 1.
-- Invariant: the newest most jobs stay, and a longer lifetime does.
local list = KEYS[1]
local made, id, most, life = unpack(ARGV)
redis.call("ZADD", list, made, id)
redis.call("ZREMRANGEBYRANK", list, 0, -tonumber(most) - 1)
if redis.call("PTTL", list) < life - 3600000 then redis.call("PEXPIRE", list, life) end
return 1
