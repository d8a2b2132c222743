-- Takes up to n tasks out of a queue for one worker, each as Asynq's own script
-- takes one, and tells which of them nobody has begun: see run.go.
-- KEYS: pending, paused, active, lease. ARGV: lease end, prefix of task keys, n,
-- prefix of records or "" when these are elsewhere.
-- Returns {id, message, mark, destination, ...}. The mark is 0 for tasks that
-- cannot be told, 1 when nobody has begun the job, 2 when somebody has.
if redis.call("EXISTS", KEYS[2]) == 1 then return {} end

local function fresh(where)
  local gen, shard, id = string.match(where, "^(%d+):(%d+):(.*)$")
  if not gen then return 0, "" end
  local v = redis.call("HMGET", ARGV[4] .. "{j" .. shard .. "}:r:" .. id, "gen", "fin", "run", "cancel", "ton", "to0")
  if v[1] ~= gen or v[2] == gen or (v[3] or "0") ~= "0" or v[4] or tonumber(v[5] or "0") > 1 then return 2, "" end
  return 1, v[6] or ""
end

-- Lua unpacks some 8,000 values at most, so leases are noted a hundred at a time.
local r, leases = {}, {}
local function lease()
  if #leases > 0 then redis.call("ZADD", KEYS[4], unpack(leases)) end
  leases = {}
end
for _ = 1, tonumber(ARGV[3]) do
  local id = redis.call("RPOPLPUSH", KEYS[1], KEYS[3])
  if not id then break end
  local key = ARGV[2] .. id
  redis.call("HSET", key, "state", "active")
  redis.call("HDEL", key, "pending_since")
  leases[#leases + 1] = ARGV[1]
  leases[#leases + 1] = id
  if #leases >= 200 then lease() end
  local v = redis.call("HMGET", key, "msg", "lm")
  if v[1] then
    local n = #r
    r[n + 1], r[n + 2], r[n + 3], r[n + 4] = id, v[1], 0, ""
    if v[2] and ARGV[4] ~= "" then r[n + 3], r[n + 4] = fresh(v[2]) end
  end
end
lease()
return r
