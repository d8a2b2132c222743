-- check: the sweep over sessions of one partition. Behind lib.lua.
--
-- KEYS meta of each session
-- ARGV 1 route, 2 lifetime (s)
-- Returns {last, rerouted, last, rerouted, ...} in the order of KEYS; rerouted is
-- 1 where the route was missing.
--
-- Afterwards each session that is not closed has the route, and its meta
-- lives for the lifetime less an hour at least.
local route, lifetime = ARGV[1], ARGV[2]
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local out = {}
for i = 1, #KEYS do
  local meta = KEYS[i]
  local known = redis.call('HMGET', meta, LAST, TRIMMED, TOUCHED, CLOSED, route)
  local last, trimmed, touched, closed, come = known[1], known[2], known[3], known[4], known[5]
  local missing = not come and not closed
  -- How far the node's connections have come it tells with its next ack.
  if missing then redis.call('HSET', meta, route, trimmed or '0') end
  if missing or now - tonumber(touched or '0') > 3600000000 then -- an hour
    -- Not RENEWED: by that an append knows that the lifetimes of mailbox and
    -- parked entries were renewed too.
    if not closed then redis.call('HSET', meta, TOUCHED, seq(now)) end
    redis.call('EXPIRE', meta, lifetime)
  end
  out[#out + 1] = last or '0'
  out[#out + 1] = missing and 1 or 0
end
return out
