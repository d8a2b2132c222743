-- commit: stores a connection's record, a view's record, or both, or nothing, and
-- wakes the session's nodes when the view's has changed. Behind lib.lua and
-- settings.lua.
--
-- KEYS 1 connection, 2 view, 3 meta, 4 unacked
-- ARGV 1 '1' with connection, 2 '1' with view, '2' if that is only compared, 3 nonce,
--      of the connection: 4 fence, 5 view's name, 6 state, 7 cursor, 8 client, 9 epoch, 10 lifetime (ms),
--      of the view: 11 version; 12 state, 13 cursor, 14 lifetime (ms), 15 next version, 16 session
-- Returns {0} when stored, else {code, view state, view cursor, view version};
-- code 1 no connection, 2 fenced, 3 view changed.
--
-- What is stored had the fence and the version that the caller knew, and both
-- records carry the caller's nonce: a repeat of the same call is told that it is
-- stored. The view's version becomes one that no other server has given for the
-- same change.
local connection, view = KEYS[1], KEYS[2]
local with_connection, with_view, store_view, nonce = ARGV[1] == '1', ARGV[2] ~= '', ARGV[2] == '1', ARGV[3]
local fence, version = ARGV[4], ARGV[11]
-- Fields of a connection's record, FENCE being take's, and of a view's.
local FENCE, VIEW, CLIENT, EPOCH, VERSION = 'f', 'v', 'm', 'e', 'n'
local STATE, CURSOR, NONCE = 's', 'c', 'w' -- of both

local there = with_view and redis.call('HMGET', view, STATE, CURSOR, VERSION, NONCE) or {}
local function refused(code) return {code, there[1] or '', there[2] or '0', there[3] or '0'} end
if with_connection then
  local held = redis.call('HMGET', connection, FENCE, NONCE)
  if not held[1] then return refused(1) end
  if held[1] ~= fence then return refused(2) end
  if held[2] == nonce then return {0} end -- the first try's answer was lost
elseif there[4] == nonce then
  return {0}
end
if with_view and (there[3] or '0') ~= version then return refused(3) end

if with_connection then
  redis.call('HSET', connection, VIEW, ARGV[5], STATE, ARGV[6], CURSOR, ARGV[7], CLIENT, ARGV[8], EPOCH, ARGV[9], NONCE, nonce)
  redis.call('PEXPIRE', connection, ARGV[10])
end
if store_view then
  local next_version, session = ARGV[15], ARGV[16]
  redis.call('HSET', view, STATE, ARGV[12], CURSOR, ARGV[13], VERSION, next_version, NONCE, nonce)
  redis.call('PEXPIRE', view, ARGV[14])
  -- Nodes that are gone are left to append.
  local all = redis.call('HGETALL', KEYS[3])
  for i = 1, #all, 2 do
    local stream, bound = inbox(all[i], KEYS[4])
    if stream and stream ~= '' then
      redis.call('XADD', stream, 'NOMKSTREAM', 'MAXLEN', '~', bound, '*', HINT_SESSION, session, HINT_VIEW, ARGV[5], HINT_VERSION, next_version)
    end
  end
end
return {0}
