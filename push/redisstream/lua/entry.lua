-- Helpers in front of the scripts that move entries about, behind lib.lua.

-- fields returns prev, push ID and payload of a stream entry's field list.
local function fields(l)
  local v, j, p = '0', '', ''
  for i = 1, #l, 2 do
    local f = l[i]
    if f == 'v' then v = l[i + 1] elseif f == 'j' then j = l[i + 1] elseif f == 'p' then p = l[i + 1] end
  end
  return v, j, p
end

-- pack and unpack turn an entry into the value of a parked field and back.
local function pack(l)
  local v, j, p = fields(l)
  return v .. ':' .. #j .. ':' .. j .. p
end

local function unpack_entry(s)
  local v, n, at = string.match(s, '^(%d+):(%d+):()')
  return v, string.sub(s, at, at + n - 1), string.sub(s, at + n)
end

-- settled takes the session off the owing index when nothing waits any more.
local function settled(owing, session, box, parked, floor)
  if redis.call('HLEN', parked) > 0 then return end
  if #redis.call('XRANGE', box, '(' .. seq(floor) .. '-0', '+', 'COUNT', 1) > 0 then return end
  redis.call('ZREM', owing, session)
end
