-- Marks a run without heartbeats, once for each run. Behind entry.
-- KEYS: record, open. ARGV: id, gen, run, silent since, now, check at.
-- Returns 1 when it was marked.
local rec = KEYS[1]
local v = redis.call("HMGET", rec, "gen", "fin", "run", "st", "hb", "kind", "queue", "made")
redis.call("ZADD", KEYS[2], "XX", ARGV[6], ARGV[1])
if v[1] ~= ARGV[2] or v[2] == v[1] or v[3] ~= ARGV[3] or v[4] ~= "running" then return 0 end
if tonumber(v[5] or "0") > tonumber(ARGV[4]) then return 0 end
redis.call("HSET", rec, "st", "stalled", "upd", ARGV[5])
move(KEYS[2], entry("running", v[6], v[7], v[8], nil, ARGV[1]), entry("stalled", v[6], v[7], v[8], nil, ARGV[1]))
return 1
