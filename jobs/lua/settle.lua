-- Notes that the terminal event is stored with everybody who wanted it.
-- KEYS: record, open. ARGV: id, gen, retention.
local v = redis.call("HMGET", KEYS[1], "gen", "fin")
if v[1] ~= ARGV[2] or v[2] ~= ARGV[2] then return 0 end
redis.call("HDEL", KEYS[1], "out", "outn")
redis.call("ZREM", KEYS[2], ARGV[1])
redis.call("PEXPIRE", KEYS[1], ARGV[3])
return 1
