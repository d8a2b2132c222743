-- attach: routes a session to a node and tells what its mailbox holds. Behind
-- lib.lua.
--
-- KEYS 1 meta, 2 mailbox, 3 parked, 4 node stream
-- ARGV 1 route, 2 cursor, 3 lifetime (s), 4 node stream lifetime (s)
-- Returns {code, acked offset, last, {parked seq, parked value, ...}}; code 0
-- done, 1 cursor too old, 2 closed.
--
-- Codes but 0 leave no route. After 0
--   - the route is there, with a cursor no higher than this one;
--   - what is appended from now on reaches the node's stream, which exists;
--   - no push will have a seq up to the cursor;
--   - the parked entries returned are those after the cursor that no Read yields.
local meta, mailbox, parked, stream = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local route, cursor, lifetime, stream_lifetime = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local known = redis.call('HMGET', meta, LAST, ACKED, TRIMMED, HISTORY, route, CLOSED)
if known[6] then return {2, '0', '0', {}} end
local last, acked, come, after = known[1] or '0', known[2] or '0', known[5], tonumber(cursor)
local trimmed = settle(meta, mailbox, tonumber(known[3] or '0'), tonumber(known[4] or '0'))
if after < trimmed then return {1, acked, last, {}} end

if not come or tonumber(come) > after then redis.call('HSET', meta, route, cursor) end
if after > tonumber(last) then -- a failover has rewound the store: never issue an id twice
  last = cursor
  redis.call('HSET', meta, LAST, last)
end
redis.call('EXPIRE', meta, lifetime)
if redis.call('EXISTS', stream) == 0 then -- not listening yet, or lost: keep what comes until it does
  redis.call('XADD', stream, '*', 'z', '1')
  redis.call('EXPIRE', stream, stream_lifetime)
end

local waiting = {}
if redis.call('HLEN', parked) > 0 then
  local first = redis.call('XRANGE', mailbox, '-', '+', 'COUNT', 1)
  local low = #first > 0 and tonumber((string.match(first[1][1], '^%d+'))) or math.huge
  local all = redis.call('HGETALL', parked)
  for i = 1, #all, 2 do
    local id = tonumber(all[i])
    if id > after and id < low then
      waiting[#waiting + 1] = all[i]
      waiting[#waiting + 1] = all[i + 1]
    end
  end
end
return {0, acked, last, waiting}
