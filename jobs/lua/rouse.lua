-- Wakes a worker if a queue has work. Behind wake.
-- KEYS: pending, idle. ARGV: what begins the channels, blind.
if redis.call("LLEN", KEYS[1]) > 0 then wake(KEYS[2], ARGV[1], KEYS[1], 1, ARGV[2]) end
return 1
