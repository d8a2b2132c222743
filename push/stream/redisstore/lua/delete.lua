-- delete: ends a stream. Behind lib.lua. Returns 'ok', 'none', 'gone'.
local m = load(KEYS[1], KEYS[2])
if not m or m.st == 'new' then return 'none' end
if m.st then return 'gone' end
if tonumber(m.refs) > 0 then bury(KEYS[1], KEYS[2]) else drop(KEYS[1], KEYS[2], m) end
tell(m, m.tail, 'x', '')
return 'ok'
