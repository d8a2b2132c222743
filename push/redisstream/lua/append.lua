-- append: stores a push once and wakes the session's nodes.
-- KEYS 1 meta, 2 mailbox, 3 parked, 4 dedupe, 5 owing, 6 replaces
-- ARGV 1 session, 2 push ID, 3 payload, 4 mailbox bound, 5 lifetime (s),
--      6 dedupe lifetime (s), 7 node stream prefix, 8 node stream bound,
--      9 largest inline payload, 10 Replaces key or '', 11 '1' if final
-- Returns {code, seq, woken nodes}; code 0 stored, 1 duplicate, 2 full, 3 closed.
local m, routes = {}, {}
local h = redis.call('HGETALL', KEYS[1])
for i = 1, #h, 2 do
  if string.byte(h[i]) == 110 then -- 'n'
    routes[#routes + 1] = {h[i], ARGV[7] .. string.sub(h[i], 2), tonumber(h[i + 1])}
  else
    m[h[i]] = h[i + 1]
  end
end
if m.z then return {3, '0', 0} end

local dup = redis.call('GET', KEYS[4])
if dup then
  redis.call('EXPIRE', KEYS[4], ARGV[6]) -- a write, so that a retry's WAIT covers the first try
  return {1, dup, 0}
end

local prev, floor = tonumber(m.s or '0'), tonumber(m.a or '0')

local old
if ARGV[10] ~= '' then
  old = redis.call('HGET', KEYS[6], ARGV[10])
  if old and tonumber(old) <= floor and redis.call('HEXISTS', KEYS[3], old) == 0 then old = nil end
end

local len, cap = redis.call('XLEN', KEYS[2]), tonumber(ARGV[4])
local mark = tonumber(m.t or '0')
if len == 0 and m.e then mark = settle(KEYS[1], KEYS[2], mark, tonumber(m.e)) end
if len + redis.call('HLEN', KEYS[3]) >= cap then
  -- What every living node has passed is worth less than a new push.
  local low, living = floor, {}
  for i = 1, #routes do
    local r = routes[i]
    if redis.call('EXISTS', r[2]) == 0 then
      redis.call('HDEL', KEYS[1], r[1])
    else
      living[#living + 1] = r
      if r[3] < low then low = r[3] end
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
local ids, prevs = seq(id), seq(prev)

-- Of the writes only the first can be refused for want of memory, and nothing
-- is rolled back: so the entry itself goes first.
redis.call('XADD', KEYS[2], ids .. '-0', 'v', prevs, 'j', ARGV[2], 'p', ARGV[3])
if now - tonumber(m.x or '0') > 3600000000 then
  redis.call('HSET', KEYS[1], 's', ids, 'x', seq(now))
  redis.call('EXPIRE', KEYS[1], ARGV[5])
  redis.call('EXPIRE', KEYS[2], ARGV[5])
  redis.call('EXPIRE', KEYS[3], ARGV[5])
else
  redis.call('HSET', KEYS[1], 's', ids)
  if len == 0 or m.e then redis.call('EXPIRE', KEYS[2], ARGV[5]) end
end
redis.call('SET', KEYS[4], ids, 'EX', ARGV[6])
redis.call('ZADD', KEYS[5], 'NX', ids, ARGV[1])

if ARGV[10] ~= '' then
  if old then
    if tonumber(old) > floor then redis.call('XDEL', KEYS[2], old .. '-0') end
    redis.call('HDEL', KEYS[3], old)
  end
  if ARGV[11] == '1' then
    redis.call('HDEL', KEYS[6], ARGV[10])
  else
    redis.call('HSET', KEYS[6], ARGV[10], ids)
    redis.call('EXPIRE', KEYS[6], ARGV[5])
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

local woken, inline = 0, #ARGV[3] <= tonumber(ARGV[9])
for i = 1, #routes do
  local key, ok = routes[i][2], nil
  if inline then
    ok = redis.call('XADD', key, 'NOMKSTREAM', 'MAXLEN', '~', ARGV[8], '*', 's', ARGV[1], 'i', ids, 'v', prevs, 'j', ARGV[2], 'p', ARGV[3])
  else
    ok = redis.call('XADD', key, 'NOMKSTREAM', 'MAXLEN', '~', ARGV[8], '*', 's', ARGV[1], 'i', ids, 'v', prevs)
  end
  if ok then woken = woken + 1 else redis.call('HDEL', KEYS[1], routes[i][1]) end -- a dead node's stream has expired
end
return {0, ids, woken}
