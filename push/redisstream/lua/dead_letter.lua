-- dead_letter: moves one entry to the dead letters.
-- KEYS 1 meta, 2 mailbox, 3 parked, 4 owing, 5 starts, 6 dead letters
-- ARGV 1 session, 2 seq, 3 reason, 4 attempts, 5 node, 6 error, 7 bound
-- Returns 1, or 0 when the entry had gone already.
local l = redis.call('XRANGE', KEYS[2], ARGV[2] .. '-0', ARGV[2] .. '-0')
local v, j, p
if #l > 0 then
  v, j, p = fields(l[1][2])
else
  local k = redis.call('HGET', KEYS[3], ARGV[2])
  if not k then return 0 end
  v, j, p = unpack_entry(k)
end
redis.call('XADD', KEYS[6], 'MAXLEN', '~', ARGV[7], '*', 's', ARGV[1], 'i', ARGV[2], 'v', v, 'j', j, 'p', p,
  'r', ARGV[3], 'n', ARGV[4], 'w', ARGV[5], 'e', ARGV[6])
redis.call('XDEL', KEYS[2], ARGV[2] .. '-0')
if redis.call('XLEN', KEYS[2]) == 0 then redis.call('DEL', KEYS[2]) end
redis.call('HDEL', KEYS[3], ARGV[2])
-- Another connection that has the entry in line must not take it for one that
-- nobody has died of.
if ARGV[3] ~= 'crash-loop' then redis.call('HDEL', KEYS[5], ARGV[2]) end
settled(KEYS[4], ARGV[1], KEYS[2], KEYS[3], tonumber(redis.call('HGET', KEYS[1], 'a') or '0'))
return 1
