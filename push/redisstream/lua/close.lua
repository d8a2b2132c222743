-- close: closes a session for good and tells its nodes. Behind lib.lua and
-- settings.lua.
--
-- KEYS 1 meta, 2 mailbox, 3 parked, 4 unacked, 5 starts, 6 replaces
-- ARGV 1 session
-- Returns 1, or 0 when it was closed before.
--
-- Afterwards meta alone is left: it says that the session is closed, and has no
-- routes. Each node that had one has got a hint with a seq that no push has, so
-- that it reads the mailbox and finds out.
local meta, mailbox, parked, unacked, starts, replaces = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local session = ARGV[1]

local all, last, closed, routes = redis.call('HGETALL', meta), '0', false, {}
for i = 1, #all, 2 do
  local field, value = all[i], all[i + 1]
  if field == LAST then last = value
  elseif field == CLOSED then closed = true
  elseif inbox(field, unacked) then routes[#routes + 1] = field end
end
redis.call('DEL', mailbox, parked, starts, replaces)
redis.call('ZREM', unacked, session)
if closed then return 0 end
local beyond = seq(tonumber(last) + 1)
redis.call('HSET', meta, CLOSED, '1', LAST, beyond)
redis.call('EXPIRE', meta, lifetime)
for i = 1, #routes do
  local stream, bound = inbox(routes[i], unacked)
  if stream ~= '' then
    redis.call('XADD', stream, 'NOMKSTREAM', 'MAXLEN', '~', bound, '*', HINT_SESSION, session, HINT_SEQ, beyond, PREV, last)
  end
  redis.call('HDEL', meta, routes[i])
end
return 1
