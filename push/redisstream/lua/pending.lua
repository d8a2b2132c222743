-- pending: what a fresh mount has to apply. Writes nothing.
-- KEYS 1 meta, 2 mailbox, 3 parked
-- ARGV 1 cursor
-- Returns {floor, {parked seq, parked value, ...}, entries after cursor and floor},
-- or nothing when the session is closed.
local r = redis.call('HMGET', KEYS[1], 'a', 'z')
if r[2] then return {} end -- closed
local a = r[1] or '0'
local after = tonumber(ARGV[1])
local parked = {}
local h = redis.call('HGETALL', KEYS[3])
for i = 1, #h, 2 do
  if tonumber(h[i]) > after then
    parked[#parked + 1] = h[i]
    parked[#parked + 1] = h[i + 1]
  end
end
local from = ARGV[1]
if tonumber(a) > after then from = a end
return {a, parked, redis.call('XRANGE', KEYS[2], '(' .. from .. '-0', '+')}
