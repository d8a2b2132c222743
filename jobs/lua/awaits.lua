-- A function for other scripts: whether a record is one whose task may be put into
-- the queue: of this generation, not over, and no run has begun. With only also that
-- nobody has seen the task there yet.
local function awaits(rec, gen, only)
  local v = redis.call("HMGET", rec, "gen", "fin", "start", "opened")
  return v[1] == gen and v[2] ~= gen and not v[3] and (only ~= "1" or v[4] == gen)
end
