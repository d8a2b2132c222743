-- pending: what a fresh mount has to apply. Writes nothing.
--
-- KEYS 1 meta, 2 mailbox, 3 parked
-- ARGV 1 cursor
-- Returns {acked offset, {parked seq, parked value, ...}, entries}, or nothing
-- when the session is closed.
--
-- The entries are those after both the cursor and the acked offset, the parked
-- ones those after the cursor: no entry is both.
local meta, mailbox, parked, cursor = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
local ACKED, CLOSED = 'a', 'z' -- of meta, see lib.lua

local known = redis.call('HMGET', meta, ACKED, CLOSED)
if known[2] then return {} end
local acked, after = known[1] or '0', tonumber(cursor)
local waiting = {}
local all = redis.call('HGETALL', parked)
for i = 1, #all, 2 do
  if tonumber(all[i]) > after then
    waiting[#waiting + 1] = all[i]
    waiting[#waiting + 1] = all[i + 1]
  end
end
local from = cursor
if tonumber(acked) > after then from = acked end
return {acked, waiting, redis.call('XRANGE', mailbox, '(' .. from .. '-0', '+')}
