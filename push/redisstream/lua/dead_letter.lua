-- dead_letter: moves one entry to the dead letters. Behind lib.lua and entry.lua.
--
-- KEYS 1 meta, 2 mailbox, 3 parked, 4 unacked, 5 starts, 6 dead letters
-- ARGV 1 session, 2 seq, 3 reason, 4 attempts, 5 node, 6 error, 7 bound
-- Returns 1, or 0 when the entry had gone already.
--
-- The entry is in one place before and after, and as it was stored. Of several
-- that give it up only the first moves it.
local meta, mailbox, parked, unacked, starts, dead = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local session, id, reason, attempts, node, why, bound = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]

local found = redis.call('XRANGE', mailbox, id .. '-0', id .. '-0')
local prev, push_id, payload
if #found > 0 then
  prev, push_id, payload = fields(found[1][2])
else
  local value = redis.call('HGET', parked, id)
  if not value then return 0 end
  prev, push_id, payload = unpack_entry(value)
end
redis.call('XADD', dead, 'MAXLEN', '~', bound, '*', SESSION, session, SEQ, id, PREV, prev, PUSH_ID, push_id, PAYLOAD, payload,
  REASON, reason, ATTEMPTS, attempts, NODE, node, ERROR, why)
redis.call('XDEL', mailbox, id .. '-0')
if redis.call('XLEN', mailbox) == 0 then redis.call('DEL', mailbox) end
redis.call('HDEL', parked, id)
-- Another connection that has the entry in line must not take it for one that
-- nobody has died of.
if reason ~= 'crash-loop' then redis.call('HDEL', starts, id) end
settled(unacked, session, mailbox, parked, tonumber(redis.call('HGET', meta, ACKED) or '0'))
return 1
