-- Helpers in front of every script. A stream is a hash, what is known of it, and
-- a Redis stream, its bytes: the id of an entry is the position behind it, so
-- that a position is found without an index. Positions fit a Lua number exactly,
-- but only '%.0f' prints one without exponent.
--
-- KEYS 1 the hash, 2 the Redis stream. ARGV 1 what the keys of the group begin
-- with, 2 the channel on which readers are woken.
--
-- Fields of the hash:
--   gen          names this stream among all that had its key
--   st           'soft' once deleted while forks live, 'new' while a fork is
--                copied; none else
--   ct bt        content type as it was given, and without its parameters
--   ed eb        edition, and the position at which it begins
--   base tail    first position that is kept, position behind the last byte
--   cap keep     how many bytes there may be, and how many stay when older ones go
--   closed cp    '1' once closed, and the producer's append that closed it
--   run          the owner's, 0 while there is none: only that run appends
--   seq          the last sequence given by a caller
--   np p:<id>    how many producers there are, and of each epoch:sequence
--   ttl xp xe    lifetime (ms), or when it ends, as given and in ms
--   inh          '1' if they are the source's
--   exp          when the stream ends (ms)
--   ff fo fs fg  a fork's source, offset and sub-offset as given, the source's gen
--   to           up to where a fork that is 'new' has to be copied
--   depth refs   how many sources are above it, how many forks name it as theirs
-- It holds that eb <= base <= tail, that each entry begins where the one before ends
-- and the last ends at tail, and that neither ed nor tail ever falls.
local FIELDS = {'gen', 'st', 'ct', 'bt', 'ed', 'eb', 'base', 'tail', 'cap', 'keep', 'closed', 'cp', 'run', 'seq', 'np',
  'ttl', 'xp', 'xe', 'inh', 'exp', 'ff', 'fo', 'fs', 'fg', 'to', 'depth', 'refs'}

-- GRACE is how long a fork that has expired is remembered for its source's sake,
-- and a deleted source for its forks' (30 days).
local GRACE = 2592000000
local tag, channel = ARGV[1], ARGV[2]

local function int(n) return string.format('%.0f', n) end

local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- fields returns those of FIELDS that a hash has, or nil if there is none.
local function fields(key)
  local v = redis.call('HMGET', key, unpack(FIELDS))
  if not v[1] then return nil end
  local m = {}
  for i, f in ipairs(FIELDS) do
    if v[i] then m[f] = v[i] end
  end
  return m
end

-- drop deletes a stream, and the deleted sources that lived for its sake alone.
local function drop(key, data, m)
  redis.call('DEL', key, data)
  local name, gen = m.ff, m.fg
  while name do
    local source = tag .. 's:' .. name
    local p = redis.call('HMGET', source, 'gen', 'st', 'ff', 'fg')
    if p[1] ~= gen then return end
    if redis.call('HINCRBY', source, 'refs', -1) > 0 or p[2] ~= 'soft' then return end
    redis.call('DEL', source, tag .. 'd:' .. name)
    name, gen = p[3], p[4]
  end
end

-- bury deletes a stream that has forks: its name stays taken. They have copies.
local function bury(key, data)
  redis.call('HSET', key, 'st', 'soft')
  redis.call('DEL', data)
  redis.call('PEXPIRE', key, int(GRACE))
end

-- load returns the fields of a stream, or nil if there is none (any more).
local function load(key, data)
  local m = fields(key)
  if m and m.exp and m.st ~= 'soft' and tonumber(m.exp) <= now() then
    if tonumber(m.refs or '0') == 0 then
      drop(key, data, m)
      return nil
    end
    bury(key, data)
    m.st = 'soft'
  end
  return m
end

-- entries goes through what lies between two positions, until about so many bytes
-- or MOST entries are through, and returns where it has come to. It calls each
-- with the position behind a part and the part: whole entries, but for the first
-- and the last, which are cut at the positions.
local MOST = 4096
local function entries(data, at, to, left, each)
  local n = 0
  while at < to and left > 0 and n < MOST do
    local found = redis.call('XRANGE', data, int(at + 1) .. '-0', '+', 'COUNT', left > 65536 and 256 or 16)
    if #found == 0 then break end
    for _, e in ipairs(found) do
      local fin, b = tonumber(string.match(e[1], '^%d+')), e[2][2]
      local start = fin - #b
      if start < at or fin > to then
        b = string.sub(b, math.max(at - start, 0) + 1, math.min(fin, to) - start)
        fin = math.min(fin, to)
      end
      each(fin, b)
      at, left, n = fin, left - #b, n + 1
      if at >= to or left <= 0 then break end
    end
  end
  return at
end

-- lease has Redis expire what nobody asks for any more.
local function lease(key, data, m)
  if not m.exp then return end
  local later = (m.ff or tonumber(m.refs or '0') > 0) and GRACE or 0
  redis.call('PEXPIREAT', key, int(m.exp + later))
  redis.call('PEXPIREAT', data, m.exp)
end

-- touch counts the lifetime anew.
local function touch(key, data, m)
  if m.ttl then
    m.exp = int(now() + m.ttl)
    redis.call('HSET', key, 'exp', m.exp)
  end
  lease(key, data, m)
end

-- live gives a stream another lifetime, if there is one given.
local function live(key, m, ttl)
  if ttl == '' or ttl == m.ttl then return end
  m.ttl = ttl
  redis.call('HSET', key, 'ttl', ttl)
end

-- add appends bytes, and trims what is not to be kept.
local function add(key, data, m, body)
  if #body == 0 then return end
  m.tail = int(m.tail + #body)
  redis.call('XADD', data, m.tail .. '-0', 'b', body)
  redis.call('HSET', key, 'tail', m.tail)
  if m.keep and m.tail - m.base > tonumber(m.keep) then
    m.base = int(m.tail - m.keep)
    redis.call('HSET', key, 'base', m.base)
    redis.call('XTRIM', data, 'MINID', int(m.base + 1) .. '-0')
  end
end

-- tell wakes readers: edition, where the bytes begin and end, what has become of
-- the stream, and the bytes if they are few.
local function tell(m, start, what, body)
  redis.call('PUBLISH', channel, table.concat({m.gen, m.ed, start, m.tail, what}, ' ') .. '\n' .. body)
end

-- state is how a stream is described in a reply.
local function state(m)
  return {m.gen, m.ct, m.ed, m.base, m.tail, m.closed or '', m.run, m.ttl or '', m.xp or '', m.eb}
end
