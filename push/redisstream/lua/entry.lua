-- Helpers in front of the scripts that move entries about, behind lib.lua.

-- Fields of an entry in a mailbox: the seq of the push before it, its push ID,
-- and the push as it was stored. A dead letter has them too.
local PREV, PUSH_ID, PAYLOAD = 'v', 'j', 'p'
-- Fields that a dead letter has besides: session, seq, and why it was given up.
local SESSION, SEQ, REASON, ATTEMPTS, NODE, ERROR = 's', 'i', 'r', 'n', 'w', 'e'

-- fields returns prev, push ID and payload of a stream entry's field list.
local function fields(list)
  local prev, push_id, payload = '0', '', ''
  for i = 1, #list, 2 do
    local name = list[i]
    if name == PREV then prev = list[i + 1]
    elseif name == PUSH_ID then push_id = list[i + 1]
    elseif name == PAYLOAD then payload = list[i + 1] end
  end
  return prev, push_id, payload
end

-- pack and unpack_entry turn an entry into the value of a parked field and
-- back: '<prev>:<length of the push ID>:<push ID><payload>'.
local function pack(list)
  local prev, push_id, payload = fields(list)
  return prev .. ':' .. #push_id .. ':' .. push_id .. payload
end

local function unpack_entry(value)
  local prev, n, at = string.match(value, '^(%d+):(%d+):()')
  return prev, string.sub(value, at, at + n - 1), string.sub(value, at + n)
end

-- settled takes the session off the index of those with unacknowledged pushes
-- when nothing waits any more:
-- no parked entry, and none in the mailbox beyond the acked offset.
local function settled(unacked, session, mailbox, parked, acked)
  if redis.call('HLEN', parked) > 0 then return end
  if #redis.call('XRANGE', mailbox, '(' .. seq(acked) .. '-0', '+', 'COUNT', 1) > 0 then return end
  redis.call('ZREM', unacked, session)
end
