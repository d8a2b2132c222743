-- commit: stores a connection's record, a view's record, or both, or nothing.
-- KEYS 1 connection, 2 view
-- ARGV 1 '1' with connection, 2 '1' with view, 3 nonce,
--      4 fence, 5 view's name, 6 state, 7 cursor, 8 client, 9 epoch, 10 lifetime (ms),
--      11 version, 12 state, 13 cursor, 14 lifetime (ms)
-- Returns {0} when stored, else {code, view state, view cursor, view version};
-- code 1 no connection, 2 fenced, 3 view changed.
local conn, view = ARGV[1] == '1', ARGV[2] == '1'
local w = view and redis.call('HMGET', KEYS[2], 's', 'c', 'n', 'w') or {}
local function reply(code) return {code, w[1] or '', w[2] or '0', w[3] or '0'} end
if conn then
  local r = redis.call('HMGET', KEYS[1], 'f', 'w')
  if not r[1] then return reply(1) end
  if r[1] ~= ARGV[4] then return reply(2) end
  if r[2] == ARGV[3] then return {0} end -- the first try's answer was lost
elseif w[4] == ARGV[3] then
  return {0}
end
if view and (w[3] or '0') ~= ARGV[11] then return reply(3) end

if conn then
  redis.call('HSET', KEYS[1], 'v', ARGV[5], 's', ARGV[6], 'c', ARGV[7], 'm', ARGV[8], 'e', ARGV[9], 'w', ARGV[3])
  redis.call('PEXPIRE', KEYS[1], ARGV[10])
end
if view then
  local version = string.format('%.0f', tonumber(ARGV[11]) + 1)
  redis.call('HSET', KEYS[2], 's', ARGV[12], 'c', ARGV[13], 'n', version, 'w', ARGV[3])
  redis.call('PEXPIRE', KEYS[2], ARGV[14])
end
return {0}
