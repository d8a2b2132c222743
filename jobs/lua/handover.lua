-- Hands on what ran out: places whose holder died, tokens whose time has come.
-- Behind hand.
-- KEYS: limits in use. ARGV: lease of a place in ms, channels, what begins the keys
-- of idle workers, how many limits at most.
-- Returns how many limits it looked at.
local due = redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", stamp(now), "LIMIT", 0, ARGV[4])
for _, m in ipairs(due) do
  local n, per, key = string.match(m, "^(%d+):(%d+):(.*)$")
  local l = {key = key, waiters = key .. ":w", holders = key .. ":h", n = tonumber(n), per = tonumber(per)}
  hand(l, tonumber(ARGV[1]), true, nil, nil, ARGV[2], ARGV[3])
  if redis.call("ZCARD", l.waiters) == 0 then
    redis.call("ZREM", KEYS[1], m)
  else
    redis.call("ZADD", KEYS[1], stamp(now + math.max(room(l), 1000)), m)
  end
end
return #due
