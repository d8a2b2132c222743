-- Takes up to n tasks out of a queue for one worker, each as Asynq's own script
-- takes one, and tells which of them nobody has begun: see run.go. A task of
-- another application is not taken, and what Asynq knows of it stays: it goes to
-- the end of the queue for a second, so that its owner can take it, and is then
-- out of the way for a time, longer each time.
-- A worker that leaves nothing is noted as one that waits, in the same step: no
-- task comes in between of which it is not told.
-- Each is leased twice: as Asynq's tools expect it, and with the token of this one
-- hand-out for a shorter time, by which workers watch over each other.
-- KEYS: pending, paused, active, lease, scheduled, idle, own leases. ARGV: prefix
-- of task keys, n, prefix of records or "" when these are elsewhere, what the
-- message of a task of ours holds among its headers, the worker or "" when it
-- looks by itself, own lease in ms, token: both "" when there is no sweep.
-- Returns {how many it left, id, message, mark, destination, losses, deaths, for
-- how many ms it is a suspect, ...}. The
-- mark is 0 for tasks that cannot be told, 1 when nobody has begun the job, 2 when
-- somebody has, 3 for one of another application that is met anew or put out of
-- the way, with its type in place of the message. losses is how many workers have
-- died that had the task among others, deaths how many that had it alone: see deaths.go.
local time = redis.call("TIME")
local function idle()
  if ARGV[5] == "" then return end
  redis.call("ZADD", KEYS[6], time[1] .. string.format("%06d", time[2]), ARGV[5])
  redis.call("ZREMRANGEBYRANK", KEYS[6], 0, -1001) -- those of workers that died
end
if redis.call("EXISTS", KEYS[2]) == 1 then
  idle()
  return {0}
end

local function fresh(where)
  local gen, shard, id = string.match(where, "^(%d+):(%d+):(.*)$")
  if not gen then return 0, "" end
  local v = redis.call("HMGET", ARGV[3] .. "{j" .. shard .. "}:r:" .. id, "gen", "fin", "run", "cancel", "ton", "to0")
  if v[1] ~= gen or v[2] == gen or (v[3] or "0") ~= "0" or v[4] or tonumber(v[5] or "0") > 1 then return 2, "" end
  return 1, v[6] or ""
end

local function varint(s, i)
  local n, m = 0, 1
  while true do
    local b = string.byte(s, i)
    if not b then return 0, #s + 1 end
    n, i = n + b % 128 * m, i + 1
    if b < 128 then return n, i end
    m = m * 128
  end
end

-- ours walks through the fields of a task's message (protobuf; 15 are its
-- headers, 1 is its type).
local function ours(msg)
  local i, tag, n, kind = 1, 0, 0, ""
  while i <= #msg do
    tag, i = varint(msg, i)
    local wire = tag % 8
    if wire == 2 then
      n, i = varint(msg, i)
      if tag == 122 and string.sub(msg, i, i + n - 1) == ARGV[4] then return true end
      if tag == 10 then kind = string.sub(msg, i, i + n - 1) end
      i = i + n
    elseif wire == 0 then
      n, i = varint(msg, i)
    elseif wire == 1 then
      i = i + 8
    elseif wire == 5 then
      i = i + 4
    else
      break
    end
  end
  return false, kind
end

-- leave puts the task taken last, which is the head of active, back. lmw is how
-- long its owner has the first choice, lmf how often that was in vain. Returns
-- true when this is news.
local function leave(id, key, choice)
  local now = time[1] + time[2] / 1000000
  redis.call("LREM", KEYS[3], 1, id)
  if not choice then redis.call("HSET", key, "lmw", string.format("%.3f", now + 1)) end
  if not choice or now < tonumber(choice) then
    redis.call("LPUSH", KEYS[1], id)
    return not choice
  end
  local vain = redis.call("HINCRBY", key, "lmf", 1)
  redis.call("HDEL", key, "lmw", "pending_since")
  redis.call("HSET", key, "state", "scheduled")
  redis.call("ZADD", KEYS[5], math.floor(now) + math.min(2 ^ (vain - 1), 30), id)
  return true
end

-- Lua unpacks some 8,000 values at most, so leases are noted a hundred at a time.
local r, leases, own = {0}, {}, {}
local function lease()
  if #leases > 0 then redis.call("ZADD", KEYS[4], unpack(leases)) end
  if #own > 0 then redis.call("ZADD", KEYS[7], unpack(own)) end
  leases, own = {}, {}
end
local asynqs = time[1] + 30
local ends = ARGV[6] ~= "" and time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[6]
local n, foreign, met, round = tonumber(ARGV[2]), 0, {}, false
while n > 0 and foreign < 100 do
  local id = redis.call("RPOPLPUSH", KEYS[1], KEYS[3])
  if not id then break end
  local key = ARGV[1] .. id
  local v, i = redis.call("HMGET", key, "msg", "lm", "lmw", "lmlost", "lmdead", "lmsus"), #r
  local mine, kind = true, ""
  if v[1] and not v[2] then mine, kind = ours(v[1]) end
  if not mine and met[id] then -- once round
    redis.call("LREM", KEYS[3], 1, id)
    redis.call("RPUSH", KEYS[1], id)
    round = true
    break
  elseif not mine then
    foreign, met[id] = foreign + 1, true
    if leave(id, key, v[3]) then r[i + 1], r[i + 2], r[i + 3], r[i + 4], r[i + 5], r[i + 6], r[i + 7] = id, kind, 3, "", 0, 0, 0 end
  else
    n = n - 1
    redis.call("HSET", key, "state", "active")
    if ends then
      redis.call("HSET", key, "lmh", ARGV[7])
      own[#own + 1], own[#own + 2] = ends, id
    else
      redis.call("HDEL", key, "lmh")
    end
    redis.call("HDEL", key, "pending_since")
    leases[#leases + 1], leases[#leases + 2] = asynqs, id
    if #leases >= 200 then lease() end
    if v[1] then
      r[i + 1], r[i + 2], r[i + 3], r[i + 4], r[i + 5], r[i + 6] = id, v[1], 0, "", tonumber(v[4] or "0"), tonumber(v[5] or "0")
      r[i + 7] = v[6] and math.max(0, time[1] * 1000 + math.floor(time[2] / 1000) - v[6]) or 0
      if v[2] then
        r[i + 3] = 2 -- by note.lua, if records are elsewhere
        if ARGV[3] ~= "" then r[i + 3], r[i + 4] = fresh(v[2]) end
      end
    end
  end
end
lease()
r[1] = round and 0 or redis.call("LLEN", KEYS[1])
if r[1] == 0 then idle() end
return r
