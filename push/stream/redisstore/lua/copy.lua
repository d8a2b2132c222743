-- copy: copies a part of a fork's source, and finishes the fork behind the last
-- part. Behind lib.lua.
--
-- KEYS 3 and 4 are the source's. ARGV 3 the fork's gen, 4 bytes to copy in a run,
--      5 bytes that the fork begins with, 6 '1' if it is closed
-- Returns {code, state}; code 'more', 'new' when all is done; or {code}: 'lost' if the
-- fork is not there any more, 'source' if the source is not, and so neither is the fork.
local key, data = KEYS[1], KEYS[2]
local m = fields(key)
if not m or m.gen ~= ARGV[3] or m.st ~= 'new' then return {'lost'} end
local s = load(KEYS[3], KEYS[4])
if not s or s.gen ~= m.fg or s.st or s.ed ~= m.ed or tonumber(s.base) > tonumber(m.tail) and m.tail ~= m.to then
  drop(key, data, m)
  return {'source'}
end

local to = tonumber(m.to)
local at = entries(KEYS[4], tonumber(m.tail), to, tonumber(ARGV[4]), function(fin, b)
  redis.call('XADD', data, int(fin) .. '-0', 'b', b)
end)
m.tail = int(at)
if at < to then
  redis.call('HSET', key, 'tail', m.tail)
  lease(key, data, m)
  return {'more', state(m)}
end
redis.call('HDEL', key, 'st', 'to', 'exp')
redis.call('PERSIST', key)
redis.call('PERSIST', data)
m.st, m.exp = nil, m.xe
redis.call('HSET', key, 'tail', m.tail)
if m.exp then redis.call('HSET', key, 'exp', m.exp) end
if ARGV[6] ~= '' then
  m.closed = ARGV[6]
  redis.call('HSET', key, 'closed', m.closed)
end
add(key, data, m, ARGV[5])
touch(key, data, m)
tell(m, m.base, m.closed and 'c' or '-', '')
return {'new', state(m)}
