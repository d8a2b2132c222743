-- ack: one connection has processed (after, upto] but for the skipped ones.
-- Behind lib.lua and entry.lua.
--
-- KEYS 1 meta, 2 mailbox, 3 parked, 4 unacked, 5 starts
-- ARGV 1 session, 2 route, 3 after, 4 upto, 5 resume window (us),
--      6 lifetime (s), 7 route cursor, 8... skipped seqs
-- Returns the acked offset.
--
-- A session that is closed or not known stays so. Else afterwards
--   - the acked offset is at least upto, and never below what it was;
--   - what was skipped and nobody has applied yet is parked, and what is parked
--     was skipped by all that came to it;
--   - entries that were applied, and not given up, have no counted starts;
--   - of what is acknowledged only the resume window is left;
--   - unacked names the session only while something waits.
-- It is idempotent, and the order of acks does not matter.
local meta, mailbox, parked, unacked, starts = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local session, route, window, lifetime, cursor = ARGV[1], ARGV[2], ARGV[5], ARGV[6], ARGV[7]
local after, upto = tonumber(ARGV[3]), tonumber(ARGV[4])
local SKIPPED = 8 -- the first argument of them

local known = redis.call('HMGET', meta, LAST, ACKED, TRIMMED, HISTORY, route, CLOSED)
local come = known[5]
if not known[1] or known[6] then return '0' end -- the store was emptied since, or the session is closed
local last, acked, trimmed = tonumber(known[1]), tonumber(known[2] or '0'), tonumber(known[3] or '0')

-- A write that memory pressure cannot refuse goes first: then none of the
-- others is refused, and acknowledging frees memory.
redis.call('EXPIRE', meta, lifetime)
-- Without an append since, what is parked now was so when HISTORY was looked for:
-- so it need not be gone through again.
local history = tonumber(known[4] or '-1')
local looked = history >= 0
trimmed = settle(meta, mailbox, trimmed, history)

local skipped = {}
for i = SKIPPED, #ARGV do
  local id = ARGV[i]
  skipped[id] = true
  if tonumber(id) > acked and tonumber(id) <= upto then
    local found = redis.call('XRANGE', mailbox, id .. '-0', id .. '-0')
    if #found > 0 then redis.call('HSET', parked, id, pack(found[1][2])) end
  end
end
for _, id in ipairs(redis.call('HKEYS', starts)) do
  local n = tonumber(id)
  if n > after and n <= upto and not skipped[id] and (redis.call('HEXISTS', parked, id) == 1 or
      #redis.call('XRANGE', mailbox, id .. '-0', id .. '-0') > 0) then -- what was given up was not survived
    redis.call('HDEL', starts, id)
  end
end
if redis.call('HLEN', parked) > 0 then
  redis.call('EXPIRE', parked, lifetime)
  local applied = trimmed
  for _, id in ipairs(redis.call('HKEYS', parked)) do
    local n = tonumber(id)
    if n > after and n <= upto and not skipped[id] then
      redis.call('HDEL', parked, id)
      if #redis.call('XRANGE', mailbox, id .. '-0', id .. '-0') > 0 then
        if n > history then history = n end
      elseif n > applied then applied = n end
    end
  end
  if applied > trimmed then
    trimmed = applied
    redis.call('HSET', meta, TRIMMED, seq(trimmed))
  end
end

if upto > acked then
  acked = upto
  redis.call('HSET', meta, ACKED, ARGV[4])
end
if upto > last then redis.call('HSET', meta, LAST, ARGV[4]) end
if come and tonumber(cursor) > tonumber(come) then redis.call('HSET', meta, route, cursor) end

local clock = redis.call('TIME')
local low = clock[1] * 1000000 + clock[2] - window
if acked + 1 < low then low = acked + 1 end
trim(meta, mailbox, parked, low, trimmed)

local newest = redis.call('XREVRANGE', mailbox, '+', '-', 'COUNT', 1)
if #newest > 0 and tonumber((string.match(newest[1][1], '^%d+'))) <= acked then
  -- Only history is left: it may go by itself when the resume window is over.
  -- settle turns HISTORY into TRIMMED then.
  if not looked then history = top(mailbox, parked, '+') or 0 end
  redis.call('HSET', meta, HISTORY, seq(history))
  redis.call('PEXPIRE', mailbox, math.ceil(window / 1000))
end
settled(unacked, session, mailbox, parked, acked)
return seq(acked)
