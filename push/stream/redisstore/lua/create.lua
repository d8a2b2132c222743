-- create: makes a stream, or finds it as it was to be made. Behind lib.lua.
--
-- ARGV 3 gen, 4 content type, 5 the same without parameters, 6 ttl (ms), 7 expires
--      at, as given, 8 the same in ms, 9 '1' if closed, 10 cap, 11 bytes; of a fork:
--      12 source, 13 offset as given or none, 14 sub-offset, 15 where it leaves the
--      source, 16 the offset that 13 stands for, 17 the source's gen, 18 most forks
--      of a source, 19 most sources above each other
-- Returns {code, state}; code 'new', 'same', 'copy' if a fork is to be copied (see
-- copy.lua); or {code}: 'conflict', 'gone', 'busy', 'full', 'source' if the source has
-- changed, 'forks' if there are too many.
local key, data = KEYS[1], KEYS[2]
local gen, ct, bt, ttl, xp, xe, closed, cap, body = unpack(ARGV, 3, 11)
local ff, fo, fs, pos, at, fg = unpack(ARGV, 12, 17)

local m = load(key, data)
if m then
  if m.st == 'soft' then return {'gone'} end
  if m.st == 'new' then return {'busy'} end
  if ct == '' then bt = m.ff and m.bt or 'application/octet-stream' end
  local has_ttl, has_xp = m.ttl or '', m.xp or ''
  if m.inh then has_ttl, has_xp = '', '' end
  if bt ~= m.bt or has_ttl ~= ttl or has_xp ~= xp or (m.closed or '') ~= closed or (m.ff or '') ~= ff
    or fo ~= '' and fo ~= m.fo or ff ~= '' and fs ~= m.fs then
    return {'conflict'}
  end
  return {'same', state(m)}
end

m = {gen = gen, ct = ct, bt = bt, ed = '0', eb = '0', base = '0', tail = '0', cap = cap, run = '0', depth = '0', refs = '0'}
if ff ~= '' then
  local sk, sd = tag .. 's:' .. ff, tag .. 'd:' .. ff
  local s = load(sk, sd)
  if not s or s.gen ~= fg or s.st or tonumber(pos) < tonumber(s.base) or tonumber(pos) > tonumber(s.tail) then return {'source'} end
  if tonumber(s.refs) >= tonumber(ARGV[18]) or tonumber(s.depth) >= tonumber(ARGV[19]) then return {'forks'} end
  if ct == '' then m.ct, m.bt = s.ct, s.bt end
  if ttl == '' and xp == '' and (s.ttl or s.xp) then
    ttl, xp, xe, m.inh = s.ttl or '', s.xp or '', s.xe or '', '1'
  end
  m.ed, m.eb, m.base, m.tail, m.to, m.st = s.ed, s.eb, s.base, s.base, pos, 'new'
  m.ff, m.fo, m.fs, m.fg, m.depth = ff, at, fs, fg, int(s.depth + 1)
  if pos - m.base + #body > tonumber(cap) then return {'full'} end
  s.refs = int(redis.call('HINCRBY', sk, 'refs', 1))
  lease(sk, sd, s)
elseif ct == '' then
  m.ct, m.bt = 'application/octet-stream', 'application/octet-stream'
end
if ff == '' and #body > tonumber(cap) then return {'full'} end
if ttl ~= '' then m.ttl = ttl end
if xp ~= '' then m.xp, m.xe = xp, xe end

if m.st then
  m.exp = int(now() + 60000) -- for the case that nobody finishes it
else
  if closed ~= '' then m.closed = closed end
  if xe ~= '' then m.exp = xe end
end
local flat = {}
for f, v in pairs(m) do
  flat[#flat + 1] = f
  flat[#flat + 1] = v
end
redis.call('HSET', key, unpack(flat))
if m.st then
  lease(key, data, m)
  return {'copy', state(m)}
end
add(key, data, m, body)
touch(key, data, m)
tell(m, '0', closed ~= '' and 'c' or '-', '')
return {'new', state(m)}
