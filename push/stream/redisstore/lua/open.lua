-- open: gives a stream to a run of its owner, and makes it if there is none.
-- Behind lib.lua.
--
-- ARGV 3 gen, 4 run, 0 for the next one, 5 content type, 6 the same without
--      parameters, 7 cap, 8 keep or none, 9 '1' to begin a new edition, 10
--      ttl (ms) or none to leave it
-- Returns {'ok', state}; or {code}: 'gone', 'busy', 'conflict', 'fenced'.
--
-- After 'ok' no earlier run can append. A new edition begins where the old one
-- ended, and is open.
local key, data = KEYS[1], KEYS[2]
local gen, run, ct, bt, cap, keep, restart, ttl = unpack(ARGV, 3, 10)
local m = load(key, data)
if not m then
  if run == '0' then run = '1' end
  m = {gen = gen, ct = ct, bt = bt, ed = '0', eb = '0', base = '0', tail = '0', cap = cap, run = run, refs = '0', depth = '0'}
  redis.call('HSET', key, 'gen', gen, 'ct', ct, 'bt', bt, 'ed', '0', 'eb', '0', 'base', '0', 'tail', '0', 'cap', cap, 'run', run, 'refs', '0', 'depth', '0')
  if keep ~= '' then redis.call('HSET', key, 'keep', keep) end
  live(key, m, ttl)
  touch(key, data, m)
  tell(m, '0', '-', '')
  return {'ok', state(m)}
end
if m.st == 'soft' then return {'gone'} end
if m.st then return {'busy'} end
if bt ~= '' and bt ~= m.bt then return {'conflict'} end
if run == '0' then
  run = int(m.run + 1)
elseif tonumber(run) < tonumber(m.run) then
  return {'fenced'}
end
m.run = run
redis.call('HSET', key, 'run', run)
if restart ~= '' and (m.tail ~= m.base or m.closed) then
  m.ed, m.eb, m.base, m.closed = int(m.ed + 1), m.tail, m.tail, nil
  redis.call('HSET', key, 'ed', m.ed, 'eb', m.eb, 'base', m.base)
  redis.call('HDEL', key, 'closed', 'cp')
  redis.call('DEL', data)
  tell(m, m.tail, 'r', '')
end
live(key, m, ttl)
touch(key, data, m)
return {'ok', state(m)}
