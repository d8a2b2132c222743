-- Looks after queues once a second for all workers: makes pending what is due, as
-- Asynq's own script does, and wakes workers where there is work, in case a wake
-- was lost or the work came from elsewhere. Behind wake.
-- KEYS: of each queue pending, paused, scheduled, retry, lease, idle. ARGV: what
-- begins the channels, blind, who sweeps, then what begins the keys of each queue.
-- Returns {ms until the next task is due or -1, then the number of each queue
-- where this worker is to look, and less than zero that of each with a lease which is over}.
local t = redis.call("TIME")
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local soon, r = -1, {0}

-- One call moves a thousand tasks at most, for all others wait for it. What is left
-- is due at once.
local left = 1000
local function forward(from, pending, base)
  for _, id in ipairs(redis.call("ZRANGEBYSCORE", from, "-inf", now / 1000, "LIMIT", 0, math.min(100, left))) do
    left = left - 1
    local group = redis.call("HGET", base .. "t:" .. id, "group")
    redis.call("ZREM", from, id)
    if group and group ~= "" then
      redis.call("ZADD", base .. "g:" .. group, t[1], id)
      redis.call("HSET", base .. "t:" .. id, "state", "aggregating")
    else
      redis.call("LPUSH", pending, id)
      redis.call("HSET", base .. "t:" .. id, "state", "pending", "pending_since", string.format("%.0f", now * 1000000))
    end
  end
  local first = redis.call("ZRANGE", from, 0, 0, "WITHSCORES")
  if first[2] then
    local wait = math.max(math.ceil(tonumber(first[2]) * 1000 - now), 0)
    if soon < 0 or wait < soon then soon = wait end
  end
end

for i = 4, #ARGV do
  local k = (i - 4) * 6
  local pending = KEYS[k + 1]
  forward(KEYS[k + 3], pending, ARGV[i])
  forward(KEYS[k + 4], pending, ARGV[i])
  local lease = redis.call("ZRANGE", KEYS[k + 5], 0, 0, "WITHSCORES")
  if lease[2] and tonumber(lease[2]) <= tonumber(t[1]) then r[#r + 1] = 3 - i end
  local n = redis.call("LLEN", pending)
  if n > 0 and redis.call("EXISTS", KEYS[k + 2]) == 0 then
    -- Others first: a task that is due comes by the sweep of the worker that has put
    -- it off, and another may be able to run it.
    if redis.call("ZSCORE", KEYS[k + 6], ARGV[3]) then
      redis.call("ZADD", KEYS[k + 6], t[1] .. string.format("%06d", t[2]), ARGV[3])
    end
    local told = wake(KEYS[k + 6], ARGV[1], pending, math.min(n, 16), ARGV[2])
    -- Whoever sweeps looks too where nobody was told, or somebody in vain. Else a
    -- task would go back to the worker that has just put it off.
    local since = redis.call("HGET", ARGV[i] .. "t:" .. (redis.call("LINDEX", pending, -1) or ""), "pending_since")
    if told < 1 or not since or now - since / 1000000 > 500 then r[#r + 1] = i - 3 end
  end
end
r[1] = soon
return r
