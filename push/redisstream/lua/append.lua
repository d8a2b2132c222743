-- append: stores a push once and wakes the session's nodes. Behind settings.
-- KEYS 1 meta, 2 mailbox, 3 parked, 4 dedupe, 5 owing, 6 replaces (with ARGV 5 only)
-- ARGV 1 session, 2 push ID, 3 payload, 4 '1' if the payload travels with the
--      hint, 5 Replaces key or none, 6 '1' if final
-- Returns {code, seq, woken nodes}; code 0 stored, 1 duplicate, 2 full, 3 closed.
local prevs, a, t, e, x, routes = '0', '0', '0', nil, '0', {}
local h = redis.call('HGETALL', KEYS[1])
for i = 1, #h, 2 do
  local f, v = h[i], h[i + 1]
  if f == 's' then prevs = v
  elseif f == 'a' then a = v
  elseif f == 't' then t = v
  elseif f == 'e' then e = v
  elseif f == 'x' then x = v
  elseif f == 'z' then return {3, '0', 0}
  elseif isroute(f) then
    routes[#routes + 1] = f
    routes[#routes + 1] = v
  end
end

local dup = redis.call('GET', KEYS[4])
if dup then
  redis.call('EXPIRE', KEYS[4], remember) -- a write, so that a retry's WAIT covers the first try
  return {1, dup, 0}
end

local prev, floor, replaces = tonumber(prevs), tonumber(a), ARGV[5]

local old
if replaces then
  old = redis.call('HGET', KEYS[6], replaces)
  if old and tonumber(old) <= floor and redis.call('HEXISTS', KEYS[3], old) == 0 then old = nil end
end

local len, mark = redis.call('XLEN', KEYS[2]), tonumber(t)
if len == 0 and e then mark = settle(KEYS[1], KEYS[2], mark, tonumber(e)) end
if len + redis.call('HLEN', KEYS[3]) >= cap then
  -- What every living node has passed is worth less than a new push.
  local low, living = floor, {}
  for i = 1, #routes, 2 do
    local key, passed = inbox(routes[i], KEYS[5]), tonumber(routes[i + 1])
    if not key or redis.call('EXISTS', key) == 0 then
      redis.call('HDEL', KEYS[1], routes[i])
    else
      living[#living + 1] = routes[i]
      living[#living + 1] = routes[i + 1]
      if passed < low then low = passed end
    end
  end
  routes = living
  mark = trim(KEYS[1], KEYS[2], KEYS[3], low + 1, mark)
  len = redis.call('XLEN', KEYS[2])
  if len + redis.call('HLEN', KEYS[3]) >= cap then
    if not old then return {2, '0', 0} end
    if #redis.call('XRANGE', KEYS[2], old .. '-0', old .. '-0') == 0
      and redis.call('HEXISTS', KEYS[3], old) == 0 then return {2, '0', 0} end
  end
end

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local id = now
if id <= prev then id = prev + 1 end
local ids = seq(id)

-- Of the writes only the first can be refused for want of memory, and nothing
-- is rolled back: so the entry itself goes first.
redis.call('XADD', KEYS[2], ids .. '-0', 'v', prevs, 'j', ARGV[2], 'p', ARGV[3])
if now - tonumber(x) > 3600000000 then
  redis.call('HSET', KEYS[1], 's', ids, 'x', seq(now))
  redis.call('EXPIRE', KEYS[1], lifetime)
  redis.call('EXPIRE', KEYS[2], lifetime)
  redis.call('EXPIRE', KEYS[3], lifetime)
else
  redis.call('HSET', KEYS[1], 's', ids)
  if len == 0 or e then redis.call('EXPIRE', KEYS[2], lifetime) end
end
redis.call('SET', KEYS[4], ids, 'EX', remember)
redis.call('ZADD', KEYS[5], 'NX', ids, ARGV[1])

if replaces then
  if old then
    if tonumber(old) > floor then redis.call('XDEL', KEYS[2], old .. '-0') end
    redis.call('HDEL', KEYS[3], old)
  end
  if ARGV[6] == '1' then
    redis.call('HDEL', KEYS[6], replaces)
  else
    redis.call('HSET', KEYS[6], replaces, ids)
    redis.call('EXPIRE', KEYS[6], lifetime)
    if redis.call('HLEN', KEYS[6]) > 2 * cap then -- forget keys whose entry has gone
      local all = redis.call('HGETALL', KEYS[6])
      for i = 1, #all, 2 do
        if tonumber(all[i + 1]) <= floor and redis.call('HEXISTS', KEYS[3], all[i + 1]) == 0 then
          redis.call('HDEL', KEYS[6], all[i])
        end
      end
    end
  end
end

local woken = 0
for i = 1, #routes, 2 do
  local key, ok = inbox(routes[i], KEYS[5]), nil
  if not key then
    ok = false
  elseif ARGV[4] == '1' then
    ok = redis.call('XADD', key, 'NOMKSTREAM', '*', 's', ARGV[1], 'i', ids, 'v', prevs, 'j', ARGV[2], 'p', ARGV[3])
  else
    ok = redis.call('XADD', key, 'NOMKSTREAM', '*', 's', ARGV[1], 'i', ids, 'v', prevs)
  end
  if ok then
    woken = woken + 1
    -- The bound is approximate, and looking at it each time is dear.
    if id % 16 == 0 then redis.call('XTRIM', key, 'MAXLEN', '~', bound(routes[i])) end
  else
    redis.call('HDEL', KEYS[1], routes[i]) -- a dead node's stream has expired
  end
end
return {0, ids, woken}
