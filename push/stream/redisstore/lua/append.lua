-- append: stores bytes once, closes the stream if asked to, and wakes readers.
-- Behind lib.lua.
--
-- ARGV 3 content type without parameters or none, 4 bytes, 5 '1' to close, 6 run, 7
--      where the bytes must come to lie (with a run), 8 sequence or none, 9 producer
--      or none, 10 its epoch, 11 its sequence, 12 most bytes that travel with the
--      wake-up, 13 most producers, 14 ttl (ms) from the close on or none
-- Returns {code, edition, tail, closed, n}; code 'ok', 'dup' if it had been stored, with
-- the producer's last sequence as n; 'none', 'gone', 'fenced', 'closed', 'type', 'place',
-- 'full', 'order', 'producers'; of producers 'stale' with the epoch, 'gap' with the
-- sequence expected, 'epoch'.
--
-- Codes but 'ok' leave the stream as it was.
local key, data = KEYS[1], KEYS[2]
local bt, body, close, run, at, seq, pid, epoch, ps = unpack(ARGV, 3, 11)
local m = load(key, data)
if not m or m.st == 'new' then return {'none'} end
if m.st then return {'gone'} end
local function reply(code, n) return {code, m.ed, m.tail, m.closed or '', n or ''} end
if run ~= m.run then return reply('fenced') end

if run ~= '0' then -- a run that repeats itself finds its own bytes at the end
  local place, tail = tonumber(at), tonumber(m.tail)
  if place ~= tail then
    local last = place + #body == tail and redis.call('XRANGE', data, m.tail .. '-0', m.tail .. '-0')
    if not last or not last[1] or last[1][2][2] ~= body then return reply(m.closed and 'closed' or 'place') end
    body = ''
  end
  if m.closed then return reply((close == '' or body ~= '') and place == tail and 'closed' or 'dup') end
  if place ~= tail and close == '' then return reply('dup') end
end

local whole = pid .. '\0' .. epoch .. '\0' .. ps
if m.closed then
  if pid ~= '' and m.cp == whole then
    touch(key, data, m)
    return reply('dup', ps)
  end
  if #body == 0 and pid == '' then
    touch(key, data, m)
    return reply('ok')
  end
  return reply('closed')
end
if #body > 0 and bt ~= '' and bt ~= m.bt then return reply('type') end
local fresh = false -- the producer is a new one
if pid ~= '' then
  local e, s = tonumber(epoch), tonumber(ps)
  local have = redis.call('HGET', key, 'p:' .. pid)
  if have then
    local he, hs = string.match(have, '^(%d+):(%d+)$')
    he, hs = tonumber(he), tonumber(hs)
    if e < he then return reply('stale', int(he)) end
    if e > he and s ~= 0 then return reply('epoch') end
    if e == he and s <= hs then
      touch(key, data, m)
      return reply('dup', int(hs))
    end
    if e == he and s > hs + 1 then return reply('gap', int(hs + 1)) end
  elseif s ~= 0 then
    return reply('gap', '0')
  elseif tonumber(m.np or '0') >= tonumber(ARGV[13]) then
    return reply('producers')
  else
    fresh = true
  end
end
if seq ~= '' and m.seq and seq <= m.seq then return reply('order') end
if not m.keep and m.tail - m.base + #body > tonumber(m.cap) then return reply('full') end

if fresh then redis.call('HINCRBY', key, 'np', 1) end
local start = m.tail
add(key, data, m, body)
if seq ~= '' then redis.call('HSET', key, 'seq', seq) end
if pid ~= '' then redis.call('HSET', key, 'p:' .. pid, epoch .. ':' .. ps) end
if close ~= '' then
  m.closed = '1'
  redis.call('HSET', key, 'closed', '1', 'cp', pid ~= '' and whole or '')
  live(key, m, ARGV[14])
end
touch(key, data, m)
tell(m, start, close ~= '' and 'c' or '-', #body <= tonumber(ARGV[12]) and body or '')
return reply('ok')
