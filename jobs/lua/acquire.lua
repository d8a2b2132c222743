-- Takes what a job's limits ask for, all or nothing. Who is refused waits in the
-- order in which jobs were enqueued, until what he waits for is handed to him.
-- With one server the task is parked in the same step: nothing can come in between, and
-- the run is taken back in the record. Behind entry and hand.
-- KEYS: record, open, active, lease and scheduled of the task's queue, the task,
-- limits in use, own leases of the queue, then the three of each limit.
-- ARGV: 1 when all of this is on one server, job, gen, run, who asks (see
-- hand), task, when it was enqueued, ms: lease of a place, until a task that was
-- forgotten looks by itself at least, and more for each that waits, at most,
-- watchdog's look; channels, what begins the keys of idle workers; token of the
-- task's hand-out; then of each limit the number, the period in ms or 0, and its name.
-- Returns {verdict, ms until a look, who is handed something...}: run, wait,
-- cancel or stale.
local one = ARGV[1] == "1"
local job, gen, run, me, task, came = unpack(ARGV, 2, 7)
local lease, least, each, most, check = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
local channel, idle, token = ARGV[13], ARGV[14], ARGV[15]
local first = one and 9 or 1
local all, moved = limits(first, 16), {}
local from, to
if one then
  local v = redis.call("HMGET", KEYS[1], "gen", "fin", "run", "cancel", "st", "kind", "queue", "made")
  if v[1] ~= gen or v[2] == gen or v[3] ~= run then return {"stale", 0} end
  if v[4] == "1" then return {"cancel", 0} end
  local state, holder = unpack(redis.call("HMGET", KEYS[6], "state", "lmh"))
  if state ~= "active" or (holder or "") ~= token then
    -- Parked by this very call, whose answer was lost; else the lease was lost, and
    -- the task is another worker's.
    if state ~= "active" and redis.call("ZSCORE", KEYS[5], task) then return {"wait", 1000} end
    return {"stale", 0}
  end
  from, to = entry(v[5], v[6], v[7], v[8], nil, job), entry("scheduled", v[6], v[7], v[8], nil, job)
end

local refused
for i, l in ipairs(all) do
  local held = redis.call("HGET", l.holders, me)
  if held and l.per == 0 and not redis.call("ZSCORE", l.key, me) then held = nil end
  if one then redis.call("ZREM", l.key .. ":e", me) end
  if not held then
    redis.call("ZADD", l.waiters, "NX", came, me)
    redis.call("PEXPIRE", l.waiters, 2 * day + l.per)
    if not hand(l, lease, one, me, moved, channel, idle) then
      refused = i
      break
    end
    give(l, me, 0, lease)
  end
end

if not refused then
  for _, l in ipairs(all) do
    if l.per == 0 then
      redis.call("HSET", l.holders, me, run)
      redis.call("ZADD", l.key, stamp(now + lease), me)
    else
      redis.call("HDEL", l.holders, me) -- it is used up
    end
    redis.call("ZREM", l.waiters, me)
  end
  local r = {"run", 0}
  for _, w in ipairs(moved) do r[#r + 1] = w end
  return r
end

local l = all[refused]
for i, other in ipairs(all) do
  if i < refused then back(other, me, lease, one, nil, moved, channel, idle) end
  if i ~= refused then redis.call("ZREM", other.waiters, me) end
end
local wait
if l.per == 0 then
  wait = math.min(math.max(least, each * redis.call("ZCARD", l.waiters)), most)
else
  wait = math.min(room(l) + math.ceil((redis.call("ZRANK", l.waiters, me) or 0) * l.per / l.n), most)
end
wait = math.max(wait, 1)
if one then
  redis.call("LREM", KEYS[3], 0, task)
  redis.call("ZREM", KEYS[4], task)
  redis.call("ZREM", KEYS[8], task)
  redis.call("HDEL", KEYS[6], "lmh") -- it is with nobody
  redis.call("ZADD", KEYS[5], string.format("%.3f", (now + wait) / 1000), task)
  redis.call("HSET", KEYS[6], "state", "scheduled")
  redis.call("HINCRBY", KEYS[1], "att", -1)
  redis.call("HSET", KEYS[1], "st", "scheduled", "upd", stamp(now), "waits", l.name)
  move(KEYS[2], from, to)
  if l.per > 0 then redis.call("HSET", KEYS[1], "next", stamp(now + wait)) end
  redis.call("ZADD", KEYS[2], stamp(now + check), job)
  redis.call("ZADD", KEYS[7], stamp(now + math.max(room(l), 1000)), l.n .. ":" .. l.per .. ":" .. l.key)
end
local r = {"wait", wait}
for _, w in ipairs(moved) do r[#r + 1] = w end
return r
