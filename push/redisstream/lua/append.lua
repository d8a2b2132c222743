-- append: stores a push once and wakes the session's nodes. Behind settings.
-- KEYS 1 meta, 2 mailbox, 3 parked, 4 dedupe, 5 owing, 6 replaces (with ARGV 5 only)
-- ARGV 1 session, 2 push ID, 3 payload, 4 '1' if the payload travels with the
--      hint, 5 Replaces key or none, 6 '1' if final
-- Returns {code, seq, woken nodes}; code 0 stored, 1 duplicate, 2 full, 3 closed,
-- 4 superseded by the final push of the key, which has the seq.
local call = redis.call
local prevs, a, t, e, x, routes = '0', '0', '0', '-1', '0', {}
local h = call('HGETALL', KEYS[1])
for i = 1, #h, 2 do
  local f, v = h[i], h[i + 1]
  if f == 's' then prevs = v
  elseif f == 'a' then a = v
  elseif f == 't' then t = v
  elseif f == 'e' then e = v
  elseif f == 'x' then x = v
  elseif f == 'z' then return {3, '0', 0}
  else
    local key, bound = inbox(f, KEYS[5])
    if key then routes[#routes + 1] = {f, key, bound, v} end
  end
end

local dup = call('GET', KEYS[4])
if dup then
  call('EXPIRE', KEYS[4], remember) -- a write, so that a retry's WAIT covers the first try
  return {1, dup, 0}
end

local prev, floor, replaces = tonumber(prevs), tonumber(a), ARGV[5]

local old
if replaces then
  old = call('HGET', KEYS[6], replaces)
  if old and string.byte(old) == 45 then -- '-': of the key's final push
    if ARGV[6] ~= '1' then return {4, string.sub(old, 2), 0} end
    old = nil
  elseif old and tonumber(old) <= floor and call('HEXISTS', KEYS[3], old) == 0 then old = nil end
end

local len, mark = call('XLEN', KEYS[2]), tonumber(t)
if len == 0 then mark = settle(KEYS[1], KEYS[2], mark, tonumber(e)) end
if len + call('HLEN', KEYS[3]) >= cap then
  -- What every living node has passed is worth less than a new push.
  local low, living = floor, {}
  for i = 1, #routes do
    local r = routes[i]
    if r[2] == '' or call('EXISTS', r[2]) == 0 then
      call('HDEL', KEYS[1], r[1])
    else
      living[#living + 1] = r
      if tonumber(r[4]) < low then low = tonumber(r[4]) end
    end
  end
  routes = living
  mark = trim(KEYS[1], KEYS[2], KEYS[3], low + 1, mark)
  len = call('XLEN', KEYS[2])
  if len + call('HLEN', KEYS[3]) >= cap then
    if not old then return {2, '0', 0} end
    if #call('XRANGE', KEYS[2], old .. '-0', old .. '-0') == 0
      and call('HEXISTS', KEYS[3], old) == 0 then return {2, '0', 0} end
  end
end

local clock = call('TIME')
local now = clock[1] * 1000000 + clock[2]
local id = now
if id <= prev then id = prev + 1 end
local ids = seq(id)

-- Of the writes only the first can be refused for want of memory, and nothing
-- is rolled back: so the entry itself goes first.
call('XADD', KEYS[2], ids .. '-0', 'v', prevs, 'j', ARGV[2], 'p', ARGV[3])
if now - tonumber(x) > 3600000000 then
  call('HSET', KEYS[1], 's', ids, 'e', '-1', 'x', seq(now))
  call('EXPIRE', KEYS[1], lifetime)
  call('EXPIRE', KEYS[2], lifetime)
  call('EXPIRE', KEYS[3], lifetime)
elseif len == 0 or e ~= '-1' then -- it has no lifetime, or maybe that of history
  call('HSET', KEYS[1], 's', ids, 'e', '-1')
  call('EXPIRE', KEYS[2], lifetime)
else
  call('HSET', KEYS[1], 's', ids)
end
call('SET', KEYS[4], ids, 'EX', remember)
call('ZADD', KEYS[5], 'NX', ids, ARGV[1])

if replaces then
  if old then
    if tonumber(old) > floor then call('XDEL', KEYS[2], old .. '-0') end
    call('HDEL', KEYS[3], old)
  end
  call('HSET', KEYS[6], replaces, (ARGV[6] == '1' and '-' or '') .. ids)
  call('EXPIRE', KEYS[6], lifetime)
  if call('HLEN', KEYS[6]) > 2 * cap then
    -- Keys whose entry has gone are forgotten first, then the oldest ends. Keys
    -- of what waits stay, at most cap: so there is room for half as many ends,
    -- and for as many pushes until this is done again.
    local all, ends = call('HGETALL', KEYS[6]), {}
    for i = 1, #all, 2 do
      local at = all[i + 1]
      if string.byte(at) == 45 then
        ends[#ends + 1] = {tonumber(at), all[i]}
      elseif call('HEXISTS', KEYS[3], at) == 0
        and (tonumber(at) <= floor or #call('XRANGE', KEYS[2], at .. '-0', at .. '-0') == 0) then
        call('HDEL', KEYS[6], all[i])
      end
    end
    table.sort(ends, function(one, other) return one[1] > other[1] end) -- below zero: the oldest first
    for i = 1, math.min(#ends, call('HLEN', KEYS[6]) - cap - math.ceil(cap / 2)) do
      call('HDEL', KEYS[6], ends[i][2])
    end
  end
end

local woken = 0
for i = 1, #routes do
  local r, ok = routes[i], false
  if r[2] == '' then -- nowhere
  elseif ARGV[4] == '1' then
    ok = call('XADD', r[2], 'NOMKSTREAM', '*', 's', ARGV[1], 'i', ids, 'v', prevs, 'j', ARGV[2], 'p', ARGV[3])
  else
    ok = call('XADD', r[2], 'NOMKSTREAM', '*', 's', ARGV[1], 'i', ids, 'v', prevs)
  end
  if ok then
    woken = woken + 1
    -- The bound is approximate, and looking at it each time is dear.
    if id % 16 == 0 then call('XTRIM', r[2], 'MAXLEN', '~', r[3]) end
  else
    call('HDEL', KEYS[1], r[1]) -- a dead node's stream has expired
  end
end
return {0, ids, woken}
