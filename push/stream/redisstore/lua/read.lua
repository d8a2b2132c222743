-- read: describes a stream and reads some of it. Behind lib.lua.
--
-- ARGV 3 edition, or 'start' or 'now', 4 position, 5 about how many bytes, 6 '1' if
--      it counts as a use
-- Returns {'ok', state, position, bytes}: those of whole entries from the position
-- on, the first one cut if the position lies in it; or {code}: 'none', 'gone', 'moved'.
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
local parts = {}
entries(data, tonumber(pos), tonumber(m.tail), left, function(_, b) parts[#parts + 1] = b end)
return {'ok', state(m), pos, table.concat(parts)}
