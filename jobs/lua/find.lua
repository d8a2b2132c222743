-- Finds the newest entries of an index, by the time made and the ID.
-- KEYS: index. ARGV: how many; before: a time and an ID, or ""; since: a time or
-- ""; ended since and ended before, times or ""; kind and queue, or "" for all;
-- states.
-- Returns entries, newest first.
-- Entries of a state, kind and queue stand together, by time. So it goes from one
-- such group to the one before, by its newest entry, and reads of each no more
-- than may be among the newest of all.
local index = KEYS[1]
local most, before, since, endedSince, endedBefore, kind, queue = unpack(ARGV, 1, 7)
most = tonumber(most)
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

for i = 8, #ARGV do
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
