-- Takes jobs whose check is due, putting the next check off by a lease so that
-- no other watchdog takes them too.
-- KEYS: open. ARGV: now, lease end, limit.
-- Returns {number of open jobs, id...}.
local ids = redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", ARGV[1], "LIMIT", 0, ARGV[3])
local r = {redis.call("ZCARD", KEYS[1])}
for i, id in ipairs(ids) do
  redis.call("ZADD", KEYS[1], ARGV[2], id)
  r[i + 1] = id
end
return r
