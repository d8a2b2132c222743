-- Functions for other scripts: limits. Behind wake.
-- A limit has three keys: its places (a sorted set by the end of their leases) or,
-- for a rate, the theoretical arrival time (generic cell rate algorithm); those
-- who wait, by when they were enqueued; and a hash of who holds what, with the
-- run, or 0 as long as it was handed to him and he has not come for it.
-- Who waits is named by his task: the length of what begins the keys of its
-- queue, a colon, that, and the task's ID. Beside them are those who are enqueued
-- and have not asked yet.
local clock = redis.call("TIME")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function stamp(n) return string.format("%.0f", n) end
local day = 86400000

-- limits reads limits: three keys, and n, period in ms and name, each. A full Redis
-- refuses none of this: see room.
local function limits(key, arg)
  local r = {}
  while KEYS[key] do
    redis.call("HDEL", KEYS[key + 2], "")
    r[#r + 1] = {
      key = KEYS[key], waiters = KEYS[key + 1], holders = KEYS[key + 2],
      n = tonumber(ARGV[arg]), per = tonumber(ARGV[arg + 1]), name = ARGV[arg + 2],
    }
    key, arg = key + 3, arg + 3
  end
  return r
end

-- room returns for how many ms there is none.
local function room(l)
  if l.per > 0 then
    local step = l.per / l.n
    local tat = math.max(tonumber(redis.call("GET", l.key) or "0"), now)
    return math.max(0, math.ceil(tat - now - (l.per - step)))
  end
  for _, gone in ipairs(redis.call("ZRANGEBYSCORE", l.key, "-inf", stamp(now), "LIMIT", 0, 100)) do
    redis.call("ZREM", l.key, gone)
    redis.call("HDEL", l.holders, gone)
  end
  if redis.call("ZCARD", l.key) < l.n then return 0 end
  return math.max(1, tonumber(redis.call("ZRANGE", l.key, 0, 0, "WITHSCORES")[2]) - now)
end

-- give gives a place or a token away.
local function give(l, member, run, lease)
  redis.call("HSET", l.holders, member, run)
  redis.call("PEXPIRE", l.holders, day + l.per)
  if l.per == 0 then
    redis.call("ZADD", l.key, stamp(now + lease), member)
    redis.call("PEXPIRE", l.key, day)
    return
  end
  local tat = math.max(tonumber(redis.call("GET", l.key) or "0"), now) + l.per / l.n
  redis.call("SET", l.key, string.format("%.3f", tat), "PX", stamp(math.ceil(tat - now) + 1))
end

local function who(member)
  local n, rest = string.match(member, "^(%d+):(.*)$")
  return string.sub(rest, 1, tonumber(n)), string.sub(rest, tonumber(n) + 1)
end

-- before gives a place to one who was enqueued before score, and is with a worker
-- that is about to ask. Whose task is still to be taken keeps nobody waiting.
local function before(l, score, lease)
  for _, e in ipairs(redis.call("ZRANGEBYSCORE", l.key .. ":e", "-inf", "(" .. score, "LIMIT", 0, 20)) do
    local base, task = who(e)
    local state = redis.call("HGET", base .. "t:" .. task, "state")
    if not state or state == "active" then redis.call("ZREM", l.key .. ":e", e) end
    if state == "active" then
      give(l, e, 0, lease)
      return true
    end
  end
  return false
end

-- forward puts a parked task at the head of its queue.
local function forward(base, task)
  redis.call("HSET", base .. "t:" .. task, "state", "pending", "pending_since", stamp(now * 1000000))
  redis.call("RPUSH", base .. "pending", task)
end

-- hand gives what is free to those who wait, the first first, and puts their
-- tasks at the head of their queues; without move it lists them in moved instead.
-- It stops at me, who asks, and returns true then.
local function hand(l, lease, move, me, moved, channel, idle)
  for _ = 1, 100 do
    if room(l) > 0 then return false end
    local first = redis.call("ZRANGE", l.waiters, 0, 0, "WITHSCORES")
    local w = first[1]
    if not w then return false end
    while move and before(l, first[2], lease) do
      if room(l) > 0 then return false end
    end
    redis.call("ZREM", l.waiters, w)
    if w == me then return true end
    local base, task = who(w)
    if not move then
      give(l, w, 0, lease)
      moved[#moved + 1] = w
    elseif redis.call("EXISTS", base .. "paused") == 1 then
      -- It keeps nobody waiting, and asks again when its queue goes on.
      if redis.call("ZREM", base .. "scheduled", task) == 1 then forward(base, task) end
    elseif redis.call("ZREM", base .. "scheduled", task) == 1 then
      give(l, w, 0, lease)
      forward(base, task)
      wake(idle .. base .. "pending", channel, base .. "pending", 1, "0")
    else
      local state = redis.call("HGET", base .. "t:" .. task, "state")
      if state == "pending" or state == "active" then give(l, w, 0, lease) end -- it is on its way; else it is gone
    end
  end
  return false
end

-- back takes from a holder what he has, and hands it on.
local function back(l, member, ...)
  if redis.call("HDEL", l.holders, member) == 1 then
    if l.per == 0 then
      redis.call("ZREM", l.key, member)
    else
      local tat = tonumber(redis.call("GET", l.key) or "0") - l.per / l.n
      if tat > now then
        redis.call("SET", l.key, string.format("%.3f", tat), "PX", stamp(math.ceil(tat - now) + 1))
      else
        redis.call("DEL", l.key)
      end
    end
  end
  hand(l, ...)
end
