-- Notes that the terminal event is stored with everybody who wanted it.
-- KEYS: record, open. ARGV: id, gen, retention.
if redis.call("HGET", KEYS[1], "gen") ~= ARGV[2] or redis.call("HGET", KEYS[1], "fin") ~= ARGV[2] then return 0 end
redis.call("HDEL", KEYS[1], "out", "outn")
redis.call("ZREM", KEYS[2], ARGV[1])
redis.call("PEXPIRE", KEYS[1], ARGV[3])
return 1
