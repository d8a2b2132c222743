-- Counts the entries of indexes by state.
-- KEYS: index, of each shard. ARGV: states.
-- Returns for each state {number, time made of the oldest or ""}, one behind the
-- other.
local r = {}
for i, st in ipairs(ARGV) do
  local n, oldest = 0, ""
  for _, index in ipairs(KEYS) do
    local stop = "(" .. st .. "\2"
    n = n + redis.call("ZLEXCOUNT", index, "[" .. st .. "\1", stop)
    local from = "[" .. st .. "\1"
    while true do
      local first = redis.call("ZRANGEBYLEX", index, from, stop, "LIMIT", 0, 1)[1]
      if not first then break end
      local prefix = string.match(first, "^[^\1]*\1[^\1]*\1[^\1]*\1")
      local made = string.sub(first, #prefix + 1, #prefix + 13)
      if oldest == "" or made < oldest then oldest = made end
      from = "[" .. string.sub(prefix, 1, -2) .. "\2"
    end
  end
  r[2 * i - 1], r[2 * i] = n, oldest
end
return r
