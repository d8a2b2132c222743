-- What goes in front of the scripts that append or wake nodes, behind lib.lua.
-- The arguments stand for what a Transport's Config says: it is the same for
-- all runs, so it is part of the text and not sent each time.
local cap, lifetime, remember = %d, %d, %d -- mailbox bound, lifetimes of a session and of a push ID (s)

-- Fields of a hint in a node's stream: the session, the seq of its push and of
-- the one before. A small push travels with it, in the fields of an entry. Or
-- else, when a view's record has changed: the session, the view, its new version.
local HINT_SESSION, HINT_SEQ = 's', 'i'
local HINT_VIEW, HINT_VERSION = 'w', 'n'
local PREV, PUSH_ID, PAYLOAD = 'v', 'j', 'p'

-- inbox returns the stream that a field of meta leads to if it is a route, and
-- how many hints that may hold. 'n<node>' leads to the node's stream in the
-- session's own partition, of which unacked is a key with a name of one letter;
-- 'i<node>' to its only one, on a single server, and nowhere once the store has
-- moved to a cluster: then the stream is ''.
local function inbox(field, unacked)
  local kind = string.byte(field)
  if kind == 105 then -- 'i'
    local first = %s
    return first ~= '' and first .. string.sub(field, 2) or '', %d
  elseif kind == 110 then -- 'n'
    return string.sub(unacked, 1, -2) .. 'n:' .. string.sub(field, 2), %d
  end
end
