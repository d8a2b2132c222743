-- close: closes a session for good and tells its nodes. Behind settings.
-- KEYS 1 meta, 2 mailbox, 3 parked, 4 owing, 5 starts, 6 replaces
-- ARGV 1 session
-- Returns 1, or 0 when it was closed before.
local h, s, closed, routes = redis.call('HGETALL', KEYS[1]), '0', false, {}
for i = 1, #h, 2 do
  if h[i] == 's' then s = h[i + 1]
  elseif h[i] == 'z' then closed = true
  elseif inbox(h[i], KEYS[4]) then routes[#routes + 1] = h[i] end
end
redis.call('DEL', KEYS[2], KEYS[3], KEYS[5], KEYS[6])
redis.call('ZREM', KEYS[4], ARGV[1])
if closed then return 0 end
local last = seq(tonumber(s) + 1)
redis.call('HSET', KEYS[1], 'z', '1', 's', last)
redis.call('EXPIRE', KEYS[1], lifetime)
for i = 1, #routes do
  local key, bound = inbox(routes[i], KEYS[4])
  if key ~= '' then
    redis.call('XADD', key, 'NOMKSTREAM', 'MAXLEN', '~', bound, '*', 's', ARGV[1], 'i', last, 'v', s)
  end
  redis.call('HDEL', KEYS[1], routes[i])
end
return 1
