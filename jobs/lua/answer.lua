-- Stores the answer to a wait of a job, whether it has begun or not.
-- KEYS: record, open, the steps of the job. ARGV: id, name of the wait, answer, who
-- gave it and when, how many fields there may be, how many bytes of them, after how
-- many milliseconds the watchdog looks whether the job goes on.
-- Returns {1, 1 when the job waits for it now}, also for the same answer again;
-- {-1} when there is no such job; {-2, state} when it is over; {-3} when the time is
-- up; {-4} when there is another answer; {-5} when there is no room.
local rec, open, steps = KEYS[1], KEYS[2], KEYS[3]
local id, name, answer, by, most, bytes, look = unpack(ARGV)
local gen, fin, st, wait, size = unpack(redis.call("HMGET", rec, "gen", "fin", "st", "wait", "steps"))
if not gen then return {-1} end
local due, had = unpack(redis.call("HMGET", steps, "#u:" .. name, "#a:" .. name))
local waits = st == "scheduled" and wait == name and 1 or 0
if had == answer then return {1, fin == gen and 0 or waits} end
if had and had ~= "" then return {-4} end
if fin == gen then return {-2, st} end
if had then return {-3} end
local t = redis.call("TIME")
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if due and now >= tonumber(due) then
  redis.call("HSET", steps, "#a:" .. name, "")
  return {-3}
end
size = tonumber(size or "0") + 2 * #name + #answer + #by + 16
if size > tonumber(bytes) or redis.call("HLEN", steps) >= tonumber(most) then return {-5} end
redis.call("HSET", steps, "#a:" .. name, answer, "#b:" .. name, by)
redis.call("HSET", rec, "steps", size)
redis.call("EXPIRE", steps, 31622400)
if waits == 1 then redis.call("ZADD", open, string.format("%.0f", now + look), id) end
return {1, waits}
