-- attach: routes a session to a node and tells what its mailbox holds.
-- KEYS 1 meta, 2 mailbox, 3 parked, 4 node stream
-- ARGV 1 route, 2 cursor, 3 lifetime (s), 4 node stream lifetime (s)
-- Returns {code, floor, last, {parked seq, parked value, ...}}; code 0 done,
-- 1 cursor too old, 2 closed.
local route = ARGV[1]
local r = redis.call('HMGET', KEYS[1], 's', 'a', 't', 'e', route, 'z')
if r[6] then return {2, '0', '0', {}} end
local s, a, after = r[1] or '0', r[2] or '0', tonumber(ARGV[2])
local t = settle(KEYS[1], KEYS[2], tonumber(r[3] or '0'), tonumber(r[4] or '0'))
if after < t then return {1, a, s, {}} end

if not r[5] or tonumber(r[5]) > after then redis.call('HSET', KEYS[1], route, ARGV[2]) end
if after > tonumber(s) then -- a failover has rewound the store: never issue an id twice
  s = ARGV[2]
  redis.call('HSET', KEYS[1], 's', s)
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
if redis.call('EXISTS', KEYS[4]) == 0 then -- not listening yet, or lost: keep what comes until it does
  redis.call('XADD', KEYS[4], '*', 'z', '1')
  redis.call('EXPIRE', KEYS[4], ARGV[4])
end

local parked = {}
if redis.call('HLEN', KEYS[3]) > 0 then
  local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)
  local low = #first > 0 and tonumber((string.match(first[1][1], '^%d+'))) or math.huge
  local h = redis.call('HGETALL', KEYS[3])
  for i = 1, #h, 2 do
    local id = tonumber(h[i])
    if id > after and id < low then
      parked[#parked + 1] = h[i]
      parked[#parked + 1] = h[i + 1]
    end
  end
end
return {0, a, s, parked}
