-- Takes a token of a rate limit (generic cell rate algorithm).
-- KEYS: the theoretical arrival time, those who wait. ARGV: now, tokens, period
-- in ms, job, the most to wait for others in ms.
-- Returns 0 when it is taken, else how long to wait in ms.
local now, period = tonumber(ARGV[1]), tonumber(ARGV[3])
local step = period / tonumber(ARGV[2])
local tat = math.max(tonumber(redis.call("GET", KEYS[1]) or "0"), now)
local wait = tat - now - (period - step)
if wait <= 0 then
  redis.call("SET", KEYS[1], string.format("%.3f", tat + step), "PX", math.ceil(tat + step - now) + 1)
  redis.call("ZREM", KEYS[2], ARGV[4])
  return 0
end
-- Each comes back about when it is its turn, not all for the next token.
redis.call("ZREMRANGEBYSCORE", KEYS[2], "-inf", now)
redis.call("ZREM", KEYS[2], ARGV[4])
wait = math.ceil(wait + math.min(redis.call("ZCARD", KEYS[2]) * step, tonumber(ARGV[5])))
redis.call("ZADD", KEYS[2], now + 2 * wait, ARGV[4])
redis.call("PEXPIRE", KEYS[2], 2 * wait)
return wait
