-- check: the sweep over sessions of one partition.
-- KEYS meta of each session
-- ARGV 1 route, 2 lifetime (s)
-- Returns {last, rerouted, last, rerouted, ...} in the order of KEYS.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
-- Renewing meta has a time of its own, 'y': by 'x' an append knows that the
-- lifetimes of mailbox and parked entries were renewed too.
local route, out = ARGV[1], {}
for i = 1, #KEYS do
  local r = redis.call('HMGET', KEYS[i], 's', 't', 'y', 'z', route)
  local missing = not r[5] and not r[4]
  -- How far the node's connections have come it tells with its next ack.
  if missing then redis.call('HSET', KEYS[i], route, r[2] or '0') end
  if missing or now - tonumber(r[3] or '0') > 3600000000 then
    if not r[4] then redis.call('HSET', KEYS[i], 'y', seq(now)) end
    redis.call('EXPIRE', KEYS[i], ARGV[2])
  end
  out[#out + 1] = r[1] or '0'
  out[#out + 1] = missing and 1 or 0
end
return out
