-- Takes back a job whose task could not be enqueued and has not started, unless
-- somebody else has enqueued it meanwhile.
-- Behind entry.
-- KEYS: record, open. ARGV: id, gen. Returns 1 when it is gone.
local v = redis.call("HMGET", KEYS[1], "gen", "fin", "run", "joined", "st", "kind", "queue", "made")
if v[1] ~= ARGV[2] or v[1] ~= "1" or v[2] == v[1] or (v[3] or "0") ~= "0" then return 0 end
if v[4] then return 0 end
redis.call("DEL", KEYS[1])
redis.call("ZREM", KEYS[2], ARGV[1])
move(KEYS[2], entry(v[5], v[6], v[7], v[8], nil, ARGV[1]), nil)
return 1
