-- Finds the newest entries of an index, by the time made and the ID.
-- KEYS: index. ARGV: how many; before: a time and an ID, or ""; since: a time or
-- ""; ended since and ended before, times or ""; kind and queue, or "" for all;
-- how many are few; states.
-- Returns entries, newest first.
-- When few have ended within the time that is asked for, it reads all of these.
-- Entries of a state, kind and queue stand together, by time. So it goes from one
-- such group to the one before, by its newest entry, and reads of each no more
-- than may be among the newest of all.
local index = KEYS[1]
local most, before, since, endedSince, endedBefore, kind, queue, few = unpack(ARGV, 1, 8)
most, few = tonumber(most), tonumber(few)
local byEnd = endedSince ~= "" or endedBefore ~= ""
local found, floor = {}, since

-- Strings compare by the server's locale, which orders digits but not all IDs.
local function newer(a, b)
  if a.made ~= b.made then return a.made > b.made end
  for i = 1, math.min(#a.id, #b.id) do
    local x, y = string.byte(a.id, i), string.byte(b.id, i)
    if x ~= y then return x > y end
  end
  return #a.id > #b.id
end

local function cut()
  table.sort(found, newer)
  for i = #found, most + 1, -1 do found[i] = nil end
  if #found == most then floor = found[most].made .. found[most].id end
end

local function group(prefix)
  local max = "(" .. prefix .. before
  if before == "" then max = "(" .. string.sub(prefix, 1, -2) .. "\2" end
  local size, taken = byEnd and 500 or most, 0
  while true do
    local members = redis.call("ZREVRANGEBYLEX", index, max, "(" .. prefix .. floor, "LIMIT", 0, size)
    for _, m in ipairs(members) do
      local ended = string.sub(m, -13)
      if (endedSince == "" or ended >= endedSince) and (endedBefore == "" or ended < endedBefore) then
        found[#found + 1] = {made = string.sub(m, #prefix + 1, #prefix + 13), id = string.sub(m, #prefix + 14, -15), entry = m}
        taken = taken + 1
        if taken == most then break end
      end
    end
    if #members < size or taken == most then break end
    max = "(" .. members[size]
  end
  if #found >= 2 * most then cut() end
end

-- those adds what has ended within the time, if these are few.
local function those()
  local ends = string.sub(index, 1, -6) .. "ends"
  local from, to = endedSince ~= "" and endedSince or "-inf", endedBefore ~= "" and "(" .. endedBefore or "+inf"
  if redis.call("ZCOUNT", ends, from, to) > few then return false end
  local states, place = {}, {made = string.sub(before, 1, 13), id = string.sub(before, 14, -2)}
  for i = 9, #ARGV do states[ARGV[i]] = true end
  for _, m in ipairs(redis.call("ZRANGEBYSCORE", ends, from, to)) do
    local st, k, q, made, id = string.match(m, "^([^\1]*)\1([^\1]*)\1([^\1]*)\1(%d%d%d%d%d%d%d%d%d%d%d%d%d)(.*)\1%d*$")
    local e = {made = made, id = id, entry = m}
    if st and states[st] and (kind == "" or k == kind) and (queue == "" or q == queue) and made >= since
      and (before == "" or newer(place, e)) then
      found[#found + 1] = e
    end
  end
  return true
end

local groupsFrom = 9
if byEnd and those() then groupsFrom = #ARGV + 1 end
for i = groupsFrom, #ARGV do
  local st = ARGV[i]
  local start = st .. "\1" .. (kind ~= "" and kind .. "\1" or "")
  local stop = "(" .. start
  local from = "(" .. string.sub(start, 1, -2) .. "\2"
  while true do
    local last = redis.call("ZREVRANGEBYLEX", index, from, stop, "LIMIT", 0, 1)[1]
    if not last then break end
    local k, q = string.match(last, "^[^\1]*\1([^\1]*)\1([^\1]*)\1")
    local of = st .. "\1" .. k .. "\1"
    if queue ~= "" then
      group(of .. queue .. "\1")
      from = "(" .. of
    else
      local prefix = of .. q .. "\1"
      local made = string.sub(last, #prefix + 1, #prefix + 13)
      if floor == "" or made >= string.sub(floor, 1, 13) then group(prefix) end
      from = "(" .. prefix
    end
  end
end
cut()
local r = {}
for i, f in ipairs(found) do r[i] = f.entry end
return r
