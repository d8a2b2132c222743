-- Looks for the answer that a run waits for, and begins the wait if it is the first
-- to ask.
-- KEYS: record, the steps of the job. ARGV: gen, run, name of the wait, milliseconds
-- until its time is up, how many fields there may be.
-- Returns {1, answer}; {2} when its time is up; {0, when that will be, 1 when the
-- wait began just now}; {-1} when the run is not the job's any more; {-2} when there
-- is no room.
-- Invariant: "#a:" is set once, to the answer or to "" when the time is up, by the
-- clock of this Redis.
local rec, steps = KEYS[1], KEYS[2]
local gen, run, name, per, most = unpack(ARGV)
local recGen, fin, recRun, size = unpack(redis.call("HMGET", rec, "gen", "fin", "run", "steps"))
if recGen ~= gen or fin == gen or recRun ~= run then return {-1} end
local due, answer = unpack(redis.call("HMGET", steps, "#u:" .. name, "#a:" .. name))
if answer == "" then return {2} end
if answer then return {1, answer} end
local t = redis.call("TIME")
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local new = 0
if not due then
  if redis.call("HLEN", steps) >= tonumber(most) then return {-2} end
  due, new = string.format("%.0f", now + per), 1
  redis.call("HSET", steps, "#u:" .. name, due)
  redis.call("HSET", rec, "steps", tonumber(size or "0") + 2 * #name + 32)
  redis.call("EXPIRE", steps, 31622400)
end
if now >= tonumber(due) then
  redis.call("HSET", steps, "#a:" .. name, "")
  return {2}
end
return {0, due, new}
