-- Returns the tasks that were archived in the last seconds, some at most.
-- KEYS: the archive of each queue. ARGV: seconds, the most.
local t, r = redis.call("TIME"), {}
for _, key in ipairs(KEYS) do
  for _, id in ipairs(redis.call("ZRANGEBYSCORE", key, t[1] - ARGV[1], "+inf", "LIMIT", 0, ARGV[2] - #r)) do r[#r + 1] = id end
end
return r
