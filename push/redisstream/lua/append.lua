-- append: stores a push once and wakes the session's nodes. Behind lib.lua and
-- settings.lua; package jobs runs it as a part of its own scripts too.
--
-- KEYS 1 meta, 2 mailbox, 3 parked, 4 dedupe, 5 unacked, 6 replaces (with ARGV 5 only)
-- ARGV 1 session, 2 push ID, 3 payload, 4 '1' if the payload travels with the
--      hint, 5 Replaces key or none, 6 '1' if final
-- Returns {code, seq, woken nodes}; code 0 stored, 1 duplicate, 2 full, 3 closed,
-- 4 superseded by the final push of the key, which has the seq.
--
-- Codes but 0 leave the mailbox as it was, less the oldest of what all nodes have passed.
-- After 0 it holds that
--   - the entry's seq is above all before it, and the entry names the one before;
--   - dedupe names the seq, so that a repeat finds it, and unacked names the session;
--   - mailbox and parked together hold at most cap entries, or one more where
--     the entry took the place of another, and a quarter more of final ones;
--   - of a Replaces key no other entry waits that is not final, and only another
--     final push comes after a final one, while the key is remembered.
local meta, mailbox, parked, dedupe, unacked, replaces = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local session, push_id, payload, inline, key, final = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1', ARGV[5], ARGV[6] == '1'
local call = redis.call
local most = final and cap + math.ceil(cap / 4) or cap

local GO, GO_MOST = 16, 1000 -- how many go at a time when the mailbox is full, or else all

-- A route is {field of meta, stream, most hints, how far the node has come}.
local FIELD, STREAM, BOUND, CURSOR = 1, 2, 3, 4
local last, acked, trimmed, history, renewed, routes = '0', '0', '0', '-1', '0', {}
local all = call('HGETALL', meta)
for i = 1, #all, 2 do
  local field, value = all[i], all[i + 1]
  if field == LAST then last = value
  elseif field == ACKED then acked = value
  elseif field == TRIMMED then trimmed = value
  elseif field == HISTORY then history = value
  elseif field == RENEWED then renewed = value
  elseif field == CLOSED then return {3, '0', 0}
  else
    local stream, bound = inbox(field, unacked)
    if stream then routes[#routes + 1] = {field, stream, bound, value} end
  end
end

local known = call('GET', dedupe)
if known then
  call('EXPIRE', dedupe, remember) -- a write, so that a retry's WAIT covers the first try
  return {1, known, 0}
end

local prev, offset = tonumber(last), tonumber(acked)

-- The hash replaces holds of each key the seq of its last push, with '-' before
-- it (byte 45) when that was final.
local old -- the entry whose place this one takes
if key then
  old = call('HGET', replaces, key)
  if old and string.byte(old) == 45 then
    if not final then return {4, string.sub(old, 2), 0} end
    old = nil
  elseif old and tonumber(old) <= offset and call('HEXISTS', parked, old) == 0 then old = nil end
end

local len, mark = call('XLEN', mailbox), tonumber(trimmed)
if len == 0 then mark = settle(meta, mailbox, mark, tonumber(history)) end
if len + call('HLEN', parked) >= most then
  -- What every living node has passed is worth less than a new push.
  local low, living = offset, {}
  for i = 1, #routes do
    local route = routes[i]
    if route[STREAM] == '' or call('EXISTS', route[STREAM]) == 0 then
      call('HDEL', meta, route[FIELD])
    else
      living[#living + 1] = route
      if tonumber(route[CURSOR]) < low then low = tonumber(route[CURSOR]) end
    end
  end
  routes = living
  -- The oldest go first: a reader between two connections stands near the end.
  -- What was parked at once counts twice, so it may be many.
  local go = math.max(GO, len + call('HLEN', parked) - most + 1)
  if go <= GO_MOST then
    local first = call('XRANGE', mailbox, '-', '+', 'COUNT', go)
    local past = #first > 0 and tonumber((string.match(first[#first][1], '^%d+'))) or 0
    if past < low then low = past end
  end
  mark = trim(meta, mailbox, parked, low + 1, mark)
  len = call('XLEN', mailbox)
  if len + call('HLEN', parked) >= most then
    if not old then return {2, '0', 0} end
    if #call('XRANGE', mailbox, old .. '-0', old .. '-0') == 0
      and call('HEXISTS', parked, old) == 0 then return {2, '0', 0} end
  end
end

local clock = call('TIME')
local now = clock[1] * 1000000 + clock[2]
local id = now
if id <= prev then id = prev + 1 end
local ids = seq(id)

-- Of the writes only the first can be refused for want of memory, and nothing
-- is rolled back: so the entry itself goes first.
call('XADD', mailbox, ids .. '-0', PREV, last, PUSH_ID, push_id, PAYLOAD, payload)
if now - tonumber(renewed) > 3600000000 then -- an hour
  call('HSET', meta, LAST, ids, HISTORY, '-1', RENEWED, seq(now))
  call('EXPIRE', meta, lifetime)
  call('EXPIRE', mailbox, lifetime)
  call('EXPIRE', parked, lifetime)
elseif len == 0 or history ~= '-1' then -- it has no lifetime, or maybe that of history
  call('HSET', meta, LAST, ids, HISTORY, '-1')
  call('EXPIRE', mailbox, lifetime)
else
  call('HSET', meta, LAST, ids)
end
call('SET', dedupe, ids, 'EX', remember)
call('ZADD', unacked, 'NX', ids, session)

if key then
  if old then
    if tonumber(old) > offset then call('XDEL', mailbox, old .. '-0') end
    call('HDEL', parked, old)
  end
  call('HSET', replaces, key, (final and '-' or '') .. ids)
  call('EXPIRE', replaces, lifetime)
  if call('HLEN', replaces) > 2 * cap then
    -- Keys whose entry has gone are forgotten first, then the oldest finals. Keys
    -- of what waits stay, at most cap: so there is room for half as many finals,
    -- and for as many pushes until this is done again.
    local held, finals, kept, gone = call('HGETALL', replaces), {}, {}, {}
    local function forget() -- as many as Lua passes on
      if #gone > 0 then call('HDEL', replaces, unpack(gone)) end
      gone = {}
    end
    for _, at in ipairs(call('HKEYS', parked)) do kept[at] = true end
    for i = 1, #held, 2 do
      local at = held[i + 1]
      if string.byte(at) == 45 then
        finals[#finals + 1] = {tonumber(at), held[i]}
      elseif not kept[at]
        and (tonumber(at) <= offset or #call('XRANGE', mailbox, at .. '-0', at .. '-0') == 0) then
        gone[#gone + 1] = held[i]
        if #gone == 500 then forget() end
      end
    end
    forget()
    table.sort(finals, function(one, other) return one[1] > other[1] end) -- below zero: the oldest first
    for i = 1, math.min(#finals, call('HLEN', replaces) - cap - math.ceil(cap / 2)) do
      call('HDEL', replaces, finals[i][2])
    end
  end
end

local woken = 0
for i = 1, #routes do
  local route, ok = routes[i], false
  local stream = route[STREAM]
  if stream == '' then -- nowhere
  elseif inline then
    ok = call('XADD', stream, 'NOMKSTREAM', '*', HINT_SESSION, session, HINT_SEQ, ids, PREV, last, PUSH_ID, push_id, PAYLOAD, payload)
  else
    ok = call('XADD', stream, 'NOMKSTREAM', '*', HINT_SESSION, session, HINT_SEQ, ids, PREV, last)
  end
  if ok then
    woken = woken + 1
    -- The bound is approximate, and looking at it each time is dear.
    if id % 16 == 0 then call('XTRIM', stream, 'MAXLEN', '~', route[BOUND]) end
  else
    call('HDEL', meta, route[FIELD]) -- a dead node's stream has expired
  end
end
return {0, ids, woken}
