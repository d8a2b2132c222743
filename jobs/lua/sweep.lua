-- Looks after queues once a second for all workers: makes pending what is due, as
-- Asynq's own script does, takes tasks from workers that died, and wakes workers
-- where there is work, in case a wake was lost or the work came from elsewhere.
-- Behind wake.
-- KEYS: the sweep's own, then of each queue pending, paused, scheduled, retry,
-- lease, idle, own leases, active. ARGV: what begins the channels, blind, who
-- sweeps, own lease in ms, how much of it is left of a worker that seems dead, then
-- what begins the keys of each queue.
-- Returns {ms until the next task is due or -1, {the number of each queue where this
-- worker is to look}, {likewise of each with a lease of Asynq's that is over},
-- {number, task, ...} of what was taken from workers, likewise of what seems to be
-- stuck, the time until when leases of Asynq's are over, how many of what was taken
-- is charged with a death}.
-- Invariant: a task that was taken from a worker has no token, so that worker can
-- do nothing to it.
local t = redis.call("TIME")
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local soon, work, over, taken, stuck, charged = -1, {}, {}, {}, {}, 0

-- After an outage all leases are old, and who has not swept before knows of none.
-- Workers have the time of a lease to renew them.
local at, since = unpack(redis.call("HMGET", KEYS[1], "at", "since"))
at, since = tonumber(at or 0), tonumber(since or 0)
if now - at > math.max(ARGV[4] * 0.6, 1500) or now < at then since = now end
redis.call("HSET", KEYS[1], "at", now, "since", since)
redis.call("EXPIRE", KEYS[1], 3600)
local watched = now - since -- for how long workers have had the chance to renew

local function sooner(score)
  local wait = math.max(math.ceil(score * 1000 - now), 0)
  if soon < 0 or wait < soon then soon = wait end
end

-- One call moves a thousand tasks at most, for all others wait for it. What is left
-- is due at once.
local left = 1000
local moved = 0 -- to the queue's pending tasks
local function forward(from, pending, base)
  for _, id in ipairs(redis.call("ZRANGEBYSCORE", from, "-inf", now / 1000, "LIMIT", 0, math.min(100, left))) do
    left = left - 1
    local group = redis.call("HGET", base .. "t:" .. id, "group")
    redis.call("ZREM", from, id)
    if group and group ~= "" then
      redis.call("ZADD", base .. "g:" .. group, t[1], id)
      redis.call("HSET", base .. "t:" .. id, "state", "aggregating")
    else
      moved = moved + 1
      redis.call("LPUSH", pending, id)
      redis.call("HSET", base .. "t:" .. id, "state", "pending", "pending_since", string.format("%.0f", now * 1000000))
    end
  end
  local first = redis.call("ZRANGE", from, 0, 0, "WITHSCORES")
  if first[2] then sooner(tonumber(first[2])) end
end

-- Who was alone when its worker died is charged with the death (lmdead), anybody
-- else has only lost a worker (lmlost): see deaths.go. A task with which a fourth
-- worker dies waits, longer each time: it may be what they die of.
local function takeOver(number, pending, retry, lease, own, active, base)
  for _, id in ipairs(redis.call("ZRANGEBYSCORE", own, "-inf", now, "LIMIT", 0, 100)) do
    local task = base .. "t:" .. id
    redis.call("ZREM", own, id)
    local msg, token, alone, deaths, losses = unpack(redis.call("HMGET", task, "msg", "lmh", "lmalone", "lmdead", "lmlost"))
    redis.call("HDEL", task, "lmh", "lmalone")
    if redis.call("LREM", active, 0, id) > 0 then
      redis.call("ZREM", lease, id)
      if msg then
        local mine = alone and alone == token
        redis.call("HINCRBY", task, mine and "lmdead" or "lmlost", 1)
        redis.call("HSET", task, "lmsus", string.format("%.0f", now))
        if mine then charged = charged + 1 end
        local all = (deaths or 0) + (losses or 0) + 1
        if all > 3 then
          local again = math.ceil(now / 1000) + math.min(5 * 2 ^ (all - 4), 300)
          redis.call("ZADD", retry, again, id)
          redis.call("HSET", task, "state", "retry")
          sooner(again)
        else
          moved = moved + 1
          redis.call("RPUSH", pending, id)
          redis.call("HSET", task, "state", "pending", "pending_since", string.format("%.0f", now * 1000000))
        end
        taken[#taken + 1], taken[#taken + 2] = number, id
      end
    end
  end
  if redis.call("ZRANGEBYSCORE", own, "-inf", now, "LIMIT", 0, 1)[1] then sooner(now / 1000) end -- there were more
end

for i = 6, #ARGV do
  local number, k = i - 5, (i - 6) * 8 + 1
  local pending, paused, scheduled, retry, lease, idle, own, active = unpack(KEYS, k + 1, k + 8)
  moved = 0
  forward(scheduled, pending, ARGV[i])
  forward(retry, pending, ARGV[i])
  if watched >= tonumber(ARGV[4]) then takeOver(number, pending, retry, lease, own, active, ARGV[i]) end
  if watched >= ARGV[4] - ARGV[5] then
    for _, id in ipairs(redis.call("ZRANGEBYSCORE", own, "-inf", now + ARGV[5], "LIMIT", 0, 1000)) do
      stuck[#stuck + 1], stuck[#stuck + 2] = number, id
    end
  end
  for _, id in ipairs(redis.call("ZRANGEBYSCORE", lease, "-inf", t[1] - 30, "LIMIT", 0, 100)) do
    if over[#over] ~= number then over[#over + 1] = number end
    -- A token without a lease of ours would keep Asynq's recoverer from it for ever.
    if not redis.call("ZSCORE", own, id) then redis.call("HDEL", ARGV[i] .. "t:" .. id, "lmh") end
  end
  local n = redis.call("LLEN", pending)
  if n > 0 and redis.call("EXISTS", paused) == 0 then
    local head = redis.call("LINDEX", pending, -1) or ""
    local since, unable = unpack(redis.call("HMGET", ARGV[i] .. "t:" .. head, "pending_since", "lmno"))
    local age = since and now - since / 1000000
    -- Others first: the worker that has put the head off cannot run it, and another
    -- may be able to.
    if unable and redis.call("ZSCORE", idle, unable) then
      redis.call("ZADD", idle, string.format("%.0f", t[1] * 1000000 + t[2] + 1), unable)
    end
    -- What another's sweep made pending a moment ago has its worker on the way:
    -- another wake could reach the one that cannot run it.
    local due = moved > 0 or not age or age < 0 or age > 50
    local told = due and wake(idle, ARGV[1], pending, math.min(n, 16), ARGV[2]) or 0
    -- Whoever sweeps looks too where nobody was told, or somebody in vain. Else a
    -- task would go back to the worker that has just put it off.
    if due and told < 1 or not age or age > 500 then work[#work + 1] = number end
  end
end
return {soon, work, over, taken, stuck, t[1] - 30, charged}
