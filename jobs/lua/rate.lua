-- Takes a token of a rate limit (generic cell rate algorithm).
-- KEYS: the theoretical arrival time. ARGV: now, tokens, period in ms.
-- Returns 0 when it is taken, else the wait in ms.
local now, period = tonumber(ARGV[1]), tonumber(ARGV[3])
local step = period / tonumber(ARGV[2])
local tat = math.max(tonumber(redis.call("GET", KEYS[1]) or "0"), now)
local wait = tat - now - (period - step)
if wait > 0 then return math.ceil(wait) end
redis.call("SET", KEYS[1], string.format("%.3f", tat + step), "PX", math.ceil(tat + step - now) + 1)
return 0
