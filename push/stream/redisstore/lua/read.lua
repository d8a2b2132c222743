-- read: describes a stream and reads some of it. Behind lib.lua.
--
-- ARGV 3 edition, or 'start' or 'now', 4 position, 5 about how many bytes, 6 '1' if
--      it counts as a use
-- Returns {'ok', state, position, bytes, ...}: whole entries from the position on,
-- the first one cut if the position lies in it; or {code}: 'none', 'gone', 'moved'.
local key, data = KEYS[1], KEYS[2]
local ed, pos, left = ARGV[3], ARGV[4], tonumber(ARGV[5])
local m = load(key, data)
if not m or m.st == 'new' then return {'none'} end
if m.st then return {'gone'} end
if ARGV[6] == '1' and m.ttl then touch(key, data, m) end
if ed == 'start' then
  pos = m.base
elseif ed == 'now' then
  pos = m.tail
elseif ed ~= m.ed or tonumber(pos) < tonumber(m.base) or tonumber(pos) > tonumber(m.tail) then
  return {'moved', state(m)}
end
local out = {'ok', state(m), pos}
local at, tail = tonumber(pos), tonumber(m.tail)
while left > 0 and at < tail do
  local found = redis.call('XRANGE', data, int(at + 1) .. '-0', '+', 'COUNT', 64)
  if #found == 0 then break end
  for _, e in ipairs(found) do
    local fin, b = tonumber(string.match(e[1], '^%d+')), e[2][2]
    local start = fin - #b
    if start < at then b = string.sub(b, at - start + 1) end
    out[#out + 1] = b
    at, left = fin, left - #b
    if left <= 0 then break end
  end
end
return out
