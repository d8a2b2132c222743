-- Lets one worker of all sweep in each second, whoever comes first.
-- KEYS: the gate: the second of the last sweep, and an epoch, which changes when
-- Redis was emptied. ARGV: an epoch to begin.
-- Returns {1 for the one, Redis's time in ms, epoch}.
local t = redis.call("TIME")
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local at, epoch = unpack(redis.call("HMGET", KEYS[1], "at", "epoch"))
if at == t[1] then return {0, now, epoch} end
if not epoch then epoch = ARGV[1] end
redis.call("HSET", KEYS[1], "at", t[1], "epoch", epoch)
redis.call("EXPIRE", KEYS[1], 3600)
return {1, now, epoch}
