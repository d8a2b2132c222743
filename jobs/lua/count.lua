-- Counts the entries of indexes by state and queue.
-- KEYS: index, of each shard. ARGV: states.
-- Returns {state, queue, number, time made of the oldest, ...}, a queue once for
-- each kind and shard.
local r = {}
for _, st in ipairs(ARGV) do
  local stop = "(" .. st .. "\2"
  for _, index in ipairs(KEYS) do
    local from = "[" .. st .. "\1"
    while true do
      local first = redis.call("ZRANGEBYLEX", index, from, stop, "LIMIT", 0, 1)[1]
      if not first then break end
      local prefix, queue = string.match(first, "^([^\1]*\1[^\1]*\1([^\1]*)\1)")
      local behind = string.sub(prefix, 1, -2) .. "\2"
      local i = #r
      r[i + 1], r[i + 2] = st, queue
      r[i + 3] = redis.call("ZLEXCOUNT", index, "[" .. prefix, "(" .. behind)
      r[i + 4] = string.sub(first, #prefix + 1, #prefix + 13)
      from = "[" .. behind
    end
  end
end
return r
