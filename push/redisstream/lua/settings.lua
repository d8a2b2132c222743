-- What goes in front of the scripts that append or wake nodes, behind lib.lua.
-- The arguments stand for what a Transport's Config says: it is the same for
-- all runs, so it is part of the text and not sent each time.
local cap, lifetime, remember = %d, %d, %d -- mailbox bound, lifetimes of a session and of a push ID (s)

-- inbox returns the stream that a field of meta leads to if it is a route, and
-- how many hints that may hold. 'n<node>' leads to the node's stream in the
-- session's own partition, of which owing is a key with a name of one letter;
-- 'i<node>' to its only one, on a single server, and nowhere once the store has
-- moved to a cluster: then the stream is ''.
local function inbox(field, owing)
  local kind = string.byte(field)
  if kind == 105 then
    local first = %s
    return first ~= '' and first .. string.sub(field, 2) or '', %d
  elseif kind == 110 then
    return string.sub(owing, 1, -2) .. 'n:' .. string.sub(field, 2), %d
  end
end
