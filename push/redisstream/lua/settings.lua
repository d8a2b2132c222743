-- What goes in front of the scripts that append or wake nodes, behind lib.lua.
-- The arguments stand for what a Transport's Config says: it is the same for
-- all runs, so it is part of the text and not sent each time.
local cap, lifetime, remember = %d, %d, %d -- mailbox bound, lifetimes of a session and of a push ID (s)

-- A route is a field of meta: 'n<node>' leads to the node's stream in the
-- session's own partition, 'i<node>' to its only one, on a single server.
local function isroute(f)
  local b = string.byte(f)
  return b == 110 or b == 105
end

-- inbox returns the stream that a route leads to, or nothing for one that was
-- made before the store moved to a cluster. owing is any key of the partition
-- with a name of one letter.
local function inbox(route, owing)
  if string.byte(route) == 110 then return string.sub(owing, 1, -2) .. 'n:' .. string.sub(route, 2) end
  local first = %s
  if first ~= '' then return first .. string.sub(route, 2) end
end

-- bound returns how many hints that stream may hold.
local function bound(route)
  if string.byte(route) == 110 then return %d end
  return %d
end
