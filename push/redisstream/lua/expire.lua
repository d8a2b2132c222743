-- expire: moves a session's overdue unapplied entries to the dead letters.
-- KEYS 1 meta, 2 mailbox, 3 parked, 4 owing, 5 starts, 6 dead letters
-- ARGV 1 session, 2 oldest seq to keep, 3 most entries, 4 dead letters' bound
-- Returns {expired, of them with unknown action}.
local r = redis.call('HMGET', KEYS[1], 'a', 't')
local a, t = tonumber(r[1] or '0'), tonumber(r[2] or '0')
local keep, most = tonumber(ARGV[2]), tonumber(ARGV[3])
local function bury(id, v, j, p, reason)
  redis.call('XADD', KEYS[6], 'MAXLEN', '~', ARGV[4], '*', 's', ARGV[1], 'i', id, 'v', v, 'j', j, 'p', p,
    'r', reason, 'n', '0', 'w', '', 'e', '')
  redis.call('HDEL', KEYS[5], id)
end

-- Whoever was there has skipped a parked entry: no view has its action.
local unknown, oldest = 0, math.huge
for _, id in ipairs(redis.call('HKEYS', KEYS[3])) do
  local n = tonumber(id)
  if n >= keep or unknown >= most then
    if n < oldest then oldest = n end
  else
    local v, j, p = unpack_entry(redis.call('HGET', KEYS[3], id))
    bury(id, v, j, p, 'unknown-action')
    redis.call('HDEL', KEYS[3], id)
    unknown = unknown + 1
  end
end

-- Acknowledged history of that age goes with them.
trim(KEYS[1], KEYS[2], KEYS[3], math.min(a + 1, keep), t)

local gone = 0
for _, e in ipairs(redis.call('XRANGE', KEYS[2], '(' .. seq(a) .. '-0', '(' .. ARGV[2] .. '-0', 'COUNT', most)) do
  local v, j, p = fields(e[2])
  bury(string.match(e[1], '^%d+'), v, j, p, 'expired')
  redis.call('XDEL', KEYS[2], e[1])
  gone = gone + 1
end
if redis.call('XLEN', KEYS[2]) == 0 then redis.call('DEL', KEYS[2]) end

local first = redis.call('XRANGE', KEYS[2], '(' .. seq(a) .. '-0', '+', 'COUNT', 1)
if #first > 0 then oldest = math.min(oldest, tonumber((string.match(first[1][1], '^%d+')))) end
if oldest == math.huge then
  redis.call('ZREM', KEYS[4], ARGV[1])
else
  redis.call('ZADD', KEYS[4], seq(oldest), ARGV[1])
end
return {gone + unknown, unknown}
