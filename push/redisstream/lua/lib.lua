-- Helpers in front of every mailbox script. Seqs are microseconds since 1970:
-- they fit a Lua number exactly, but only '%.0f' prints one without exponent.

-- Fields of meta, the hash that a session has for as long as it is known:
--   LAST     the seq of the last push appended
--   ACKED    the acked offset: all up to it is applied, or parked
--   TRIMMED  the highest entry that has left the mailbox without being parked;
--            whoever stands before it has missed something
--   HISTORY  the highest such entry of a mailbox that is acknowledged altogether
--            and expires by itself, or -1 since an append
--   RENEWED  when the lifetimes of meta, mailbox and parked entries were renewed (us)
--   TOUCHED  the same, of meta alone
--   CLOSED   set once the session is closed
-- and a route, n<node> or i<node>, for each node that holds connections of the
-- session, with the seq up to which they have all come.
-- It holds that TRIMMED <= ACKED <= LAST, and that LAST never falls.
local LAST, ACKED, TRIMMED, HISTORY, RENEWED, TOUCHED, CLOSED = 's', 'a', 't', 'e', 'x', 'y', 'z'

local function seq(n) return string.format('%.0f', n) end

-- settle notices that a mailbox of nothing but history has expired (see
-- ack.lua): then TRIMMED has to rise to where it ended. Returns TRIMMED.
local function settle(meta, mailbox, trimmed, history)
  if history > trimmed and redis.call('EXISTS', mailbox) == 0 then
    redis.call('HSET', meta, TRIMMED, seq(history))
    return history
  end
  return trimmed
end

-- top returns the highest entry up to the range end that is not parked, and
-- whether there is any entry at all. As a rule it is the first that it looks at;
-- below a parked one there may be thousands, which it goes through in pages.
local function top(mailbox, parked, to)
  local found = redis.call('XREVRANGE', mailbox, to, '-', 'COUNT', 1)
  if #found == 0 then return nil, false end
  local id = string.match(found[1][1], '^%d+')
  if redis.call('HEXISTS', parked, id) == 0 then return tonumber(id), true end
  local held = {}
  for _, n in ipairs(redis.call('HKEYS', parked)) do held[n] = true end
  while #found > 0 do
    found = redis.call('XREVRANGE', mailbox, '(' .. found[#found][1], '-', 'COUNT', 100)
    for i = 1, #found do
      id = string.match(found[i][1], '^%d+')
      if not held[id] then return tonumber(id), true end
    end
  end
  return nil, true
end

-- trim removes the entries below low and returns TRIMMED, which rises to the
-- highest removed entry that is not parked.
local function trim(meta, mailbox, parked, low, trimmed)
  local highest, any = top(mailbox, parked, '(' .. seq(low) .. '-0')
  if not any then return trimmed end
  redis.call('XTRIM', mailbox, 'MINID', seq(low) .. '-0')
  if redis.call('XLEN', mailbox) == 0 then redis.call('DEL', mailbox) end
  if highest and highest > trimmed then
    redis.call('HSET', meta, TRIMMED, seq(highest))
    return highest
  end
  return trimmed
end
