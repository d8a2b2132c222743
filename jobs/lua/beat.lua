-- A heartbeat, with or without progress. Behind entry.
-- KEYS: record, open. ARGV: id, gen, run, now, check at, fraction or "",
-- message.
-- Returns {-1} when the run is not the job's any more, else {1 when a
-- cancellation is asked for, number of destinations, 1 when the run counted as
-- stalled}.
local rec, open = KEYS[1], KEYS[2]
local v = redis.call("HMGET", rec, "gen", "fin", "run", "cancel", "ton", "st", "kind", "queue", "made")
if v[1] ~= ARGV[2] or v[2] == v[1] or v[3] ~= ARGV[3] then return {-1} end
redis.call("HSET", rec, "hb", ARGV[4], "st", "running", "upd", ARGV[4])
if ARGV[6] ~= "" then redis.call("HSET", rec, "frac", ARGV[6], "msg", ARGV[7]) end
redis.call("ZADD", open, ARGV[5], ARGV[1])
if v[6] ~= "running" then move(open, entry(v[6], v[7], v[8], v[9], nil, ARGV[1]), entry("running", v[7], v[8], v[9], nil, ARGV[1])) end
return {v[4] == "1" and 1 or 0, tonumber(v[5] or "0"), v[6] == "stalled" and 1 or 0}
