-- Makes a job's record, or joins the open job of the same ID. Behind offset, the
-- number of arguments before its own.
-- KEYS: record, open. ARGV: id, now, check at, destination, unique until,
-- then field, value, ... of a new record.
-- Returns {verdict, gen, run, state}: new, open (it is still going on), kept
-- (over, and still the answer), stale (over, may be opened again).
local rec, open, to = KEYS[1], KEYS[2], ARGV[offset + 4]
local v = redis.call("HMGET", rec, "gen", "fin", "run", "st", "uni")
if not v[1] then
  redis.call("HSET", rec, unpack(ARGV, offset + 6))
  redis.call("ZADD", open, ARGV[offset + 3], ARGV[offset + 1])
  return {"new", 1, 0, "queued"}
end
local run = tonumber(v[3] or "0")
if v[2] ~= v[1] then
  if to ~= "" then
    local n = tonumber(redis.call("HGET", rec, "ton") or "0")
    local known = false
    for i = 0, n - 1 do
      if redis.call("HGET", rec, "to" .. i) == to then known = true end
    end
    if not known and n >= 100 then return {"crowded", tonumber(v[1]), run, v[4]} end
    if not known then redis.call("HSET", rec, "to" .. n, to, "ton", n + 1) end
  end
  if run == 0 then redis.call("HSET", rec, "joined", 1) end -- whoever made it may not take it back any more
  return {"open", tonumber(v[1]), run, v[4]}
end
if ARGV[offset + 5] == "" then return {"kept", tonumber(v[1]), run, v[4]} end
if v[4] == "completed" and tonumber(v[5] or "0") > tonumber(ARGV[offset + 2]) then
  return {"kept", tonumber(v[1]), run, v[4]}
end
return {"stale", tonumber(v[1]), run, v[4]}
