-- ack: one connection has processed (after, upto] but for the skipped ones.
-- KEYS 1 meta, 2 mailbox, 3 parked, 4 owing, 5 starts
-- ARGV 1 session, 2 route, 3 after, 4 upto, 5 resume window (us),
--      6 lifetime (s), 7 route cursor, 8... skipped seqs
-- Returns the acked offset.
local route = ARGV[2]
local r = redis.call('HMGET', KEYS[1], 's', 'a', 't', 'e', route, 'z')
if not r[1] or r[6] then return '0' end -- the store was emptied since, or the session is closed
local s, a, t = tonumber(r[1]), tonumber(r[2] or '0'), tonumber(r[3] or '0')
local after, upto = tonumber(ARGV[3]), tonumber(ARGV[4])

-- A write that memory pressure cannot refuse goes first: then none of the
-- others is refused, and acknowledging frees memory.
redis.call('EXPIRE', KEYS[1], ARGV[6])
t = settle(KEYS[1], KEYS[2], t, tonumber(r[4] or '0'))

local skipped = {}
for i = 8, #ARGV do
  local id = ARGV[i]
  skipped[id] = true
  if tonumber(id) > a and tonumber(id) <= upto then
    local l = redis.call('XRANGE', KEYS[2], id .. '-0', id .. '-0')
    if #l > 0 then redis.call('HSET', KEYS[3], id, pack(l[1][2])) end
  end
end
for _, id in ipairs(redis.call('HKEYS', KEYS[5])) do
  local n = tonumber(id)
  if n > after and n <= upto and not skipped[id] and (redis.call('HEXISTS', KEYS[3], id) == 1 or
      #redis.call('XRANGE', KEYS[2], id .. '-0', id .. '-0') > 0) then -- what was given up was not survived
    redis.call('HDEL', KEYS[5], id)
  end
end
if redis.call('HLEN', KEYS[3]) > 0 then
  redis.call('EXPIRE', KEYS[3], ARGV[6])
  local applied = t
  for _, id in ipairs(redis.call('HKEYS', KEYS[3])) do
    local n = tonumber(id)
    if n > after and n <= upto and not skipped[id] then
      redis.call('HDEL', KEYS[3], id)
      if n > applied and #redis.call('XRANGE', KEYS[2], id .. '-0', id .. '-0') == 0 then applied = n end
    end
  end
  if applied > t then
    t = applied
    redis.call('HSET', KEYS[1], 't', seq(t))
  end
end

if upto > a then
  a = upto
  redis.call('HSET', KEYS[1], 'a', ARGV[4])
end
if upto > s then redis.call('HSET', KEYS[1], 's', ARGV[4]) end
if r[5] and tonumber(ARGV[7]) > tonumber(r[5]) then redis.call('HSET', KEYS[1], route, ARGV[7]) end

local clock = redis.call('TIME')
local low = clock[1] * 1000000 + clock[2] - ARGV[5]
if a + 1 < low then low = a + 1 end
trim(KEYS[1], KEYS[2], KEYS[3], low, t)

local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
if #last > 0 and tonumber((string.match(last[1][1], '^%d+'))) <= a then
  -- Only history is left: it may go by itself when the resume window is over.
  -- settle turns 'e' into the trimmed mark then.
  redis.call('HSET', KEYS[1], 'e', seq(top(KEYS[2], KEYS[3], '+') or 0))
  redis.call('PEXPIRE', KEYS[2], math.ceil(ARGV[5] / 1000))
end
settled(KEYS[4], ARGV[1], KEYS[2], KEYS[3], a)
return seq(a)
