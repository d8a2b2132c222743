-- Takes jobs whose check is due, putting the next check off by a lease so that
-- no other watchdog takes them too.
-- KEYS: open, of each shard. ARGV: lease in ms, limit of each shard.
-- Returns {id, number of open jobs of its shard, ...}.
local t, r = redis.call("TIME"), {}
local now = t[1] * 1000 + math.floor(t[2] / 1000)
for _, open in ipairs(KEYS) do
  local ids = redis.call("ZRANGEBYSCORE", open, "-inf", now, "LIMIT", 0, ARGV[2])
  local all = #ids > 0 and redis.call("ZCARD", open) or 0
  for _, id in ipairs(ids) do
    redis.call("ZADD", open, now + ARGV[1], id)
    r[#r + 1] = id
    r[#r + 1] = all
  end
end
return r
