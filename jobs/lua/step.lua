-- Stores what a step of a run came to, once in a generation.
-- KEYS: record, the steps of the job. ARGV: gen, run, name of the step, what it
-- came to, how many steps and how many bytes of them there may be.
-- Returns {1}; {0, what was stored before}; {-1} when the run is not the job's any
-- more; or {-2, how many there are}, {-3, bytes} when there is no room.
local rec, steps = KEYS[1], KEYS[2]
local gen, run, name, value, most, bytes = unpack(ARGV)
local recGen, fin, recRun, size = unpack(redis.call("HMGET", rec, "gen", "fin", "run", "steps"))
if recGen ~= gen or fin == gen or recRun ~= run then return {-1} end
local known = redis.call("HGET", steps, name)
if known then return {0, known} end
local n = redis.call("HLEN", steps)
if n >= tonumber(most) then return {-2, n} end
size = tonumber(size or "0") + #name + #value
if size > tonumber(bytes) then return {-3, size} end
redis.call("HSET", steps, name, value)
redis.call("HSET", rec, "steps", size)
-- They go with the record; this is for a worker of an earlier version that ends it.
redis.call("EXPIRE", steps, 31622400)
return {1}
