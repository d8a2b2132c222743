-- Helpers in front of every mailbox script. Seqs are microseconds since 1970:
-- they fit a Lua number exactly, but only '%.0f' prints one without exponent.

local function seq(n) return string.format('%.0f', n) end

-- Fields of the meta hash:
--   s last id   a floor   t trimmed mark   e end of a mailbox that is history,
--   -1 since an append
--   x last lifetime renewal, y of meta alone   z closed   n<node>, i<node> route,
--   with the node's cursor

-- settle moves the trimmed mark over a mailbox that expired (see ack.lua).
local function settle(meta, box, t, e)
  if e > t and redis.call('EXISTS', box) == 0 then
    redis.call('HSET', meta, 't', seq(e))
    return e
  end
  return t
end

-- top returns the highest entry up to the range end that is not parked, and
-- whether there is any entry at all.
local function top(box, parked, to)
  local any = false
  while true do
    local l = redis.call('XREVRANGE', box, to, '-', 'COUNT', 1)
    if #l == 0 then return nil, any end
    any = true
    local id = string.match(l[1][1], '^%d+')
    if redis.call('HEXISTS', parked, id) == 0 then return tonumber(id), true end
    to = '(' .. l[1][1]
  end
end

-- trim removes the entries below low and returns the trimmed mark, which rises
-- to the highest removed entry that is not parked.
local function trim(meta, box, parked, low, t)
  local id, any = top(box, parked, '(' .. seq(low) .. '-0')
  if not any then return t end
  redis.call('XTRIM', box, 'MINID', seq(low) .. '-0')
  if redis.call('XLEN', box) == 0 then redis.call('DEL', box) end
  if id and id > t then
    redis.call('HSET', meta, 't', seq(id))
    return id
  end
  return t
end
