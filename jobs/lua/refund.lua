-- Gives a token of a rate limit back.
-- KEYS: the theoretical arrival time. ARGV: now, tokens, period in ms.
-- Returns 1 when there was one to give back.
local tat = tonumber(redis.call("GET", KEYS[1]) or "0") - tonumber(ARGV[3]) / tonumber(ARGV[2])
local left = tat - tonumber(ARGV[1])
if left > 0 then
  redis.call("SET", KEYS[1], string.format("%.3f", tat), "PX", math.ceil(left) + 1)
  return 1
end
return redis.call("DEL", KEYS[1])
