-- expire: moves a session's overdue unapplied entries to the dead letters. Behind
-- lib.lua and entry.lua.
--
-- KEYS 1 meta, 2 mailbox, 3 parked, 4 unacked, 5 starts, 6 dead letters
-- ARGV 1 session, 2 oldest seq to keep, 3 most entries, 4 dead letters' bound
-- Returns {expired, of them with unknown action}.
--
-- At most so many entries go of each kind, parked and waiting. Afterwards unacked
-- has the session with the oldest that is left, or not at all: so a session that
-- has more of them is found again.
local meta, mailbox, parked, unacked, starts, dead = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local session, keep, most, bound = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]

local known = redis.call('HMGET', meta, ACKED, TRIMMED)
local acked, trimmed = tonumber(known[1] or '0'), tonumber(known[2] or '0')
local function dead_letter(id, prev, push_id, payload, reason)
  redis.call('XADD', dead, 'MAXLEN', '~', bound, '*', SESSION, session, SEQ, id, PREV, prev, PUSH_ID, push_id, PAYLOAD, payload,
    REASON, reason, ATTEMPTS, '0', NODE, '', ERROR, '')
  redis.call('HDEL', starts, id)
end

-- Whoever was there has skipped a parked entry: no view has its action.
local unknown, oldest = 0, math.huge
for _, id in ipairs(redis.call('HKEYS', parked)) do
  local n = tonumber(id)
  if n >= keep or unknown >= most then
    if n < oldest then oldest = n end
  else
    local prev, push_id, payload = unpack_entry(redis.call('HGET', parked, id))
    dead_letter(id, prev, push_id, payload, 'unknown-action')
    redis.call('HDEL', parked, id)
    unknown = unknown + 1
  end
end

-- Acknowledged history of that age goes with them.
trim(meta, mailbox, parked, math.min(acked + 1, keep), trimmed)

local gone = 0
for _, entry in ipairs(redis.call('XRANGE', mailbox, '(' .. seq(acked) .. '-0', '(' .. ARGV[2] .. '-0', 'COUNT', most)) do
  local prev, push_id, payload = fields(entry[2])
  dead_letter(string.match(entry[1], '^%d+'), prev, push_id, payload, 'expired')
  redis.call('XDEL', mailbox, entry[1])
  gone = gone + 1
end
if redis.call('XLEN', mailbox) == 0 then redis.call('DEL', mailbox) end

local first = redis.call('XRANGE', mailbox, '(' .. seq(acked) .. '-0', '+', 'COUNT', 1)
if #first > 0 then oldest = math.min(oldest, tonumber((string.match(first[1][1], '^%d+')))) end
if oldest == math.huge then
  redis.call('ZREM', unacked, session)
else
  redis.call('ZADD', unacked, seq(oldest), session)
end
return {gone + unknown, unknown}
