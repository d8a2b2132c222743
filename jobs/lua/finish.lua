-- Decides a job's end, once for each generation, and notes that its event is
-- owed when somebody wants one.
-- KEYS: record, open. ARGV: id, gen, run or "0" for no fence, state, now, check
-- at, retention, result, code, error.
-- Returns {verdict, state, destination...}: done, over (decided before), stale.
local rec, open = KEYS[1], KEYS[2]
local v = redis.call("HMGET", rec, "gen", "fin", "run", "cancel", "ton", "st", "follow", "next", "code")
if not v[1] or v[1] ~= ARGV[2] then return {"stale", ""} end
if v[2] == v[1] then return {"over", v[6]} end
if ARGV[3] ~= "0" and (v[3] or "0") ~= ARGV[3] then return {"stale", ""} end
local st = ARGV[4]
if v[4] == "1" then st = "cancelled" end
local set = {"fin", v[1], "st", st, "end", ARGV[5], "upd", ARGV[5]}
local function put(field, value) set[#set + 1] = field; set[#set + 1] = value end
if st == "completed" then
  put("res", ARGV[8])
elseif st == ARGV[4] then
  put("code", ARGV[9])
  put("err", ARGV[10])
else
  put("code", "cancelled")
  put("err", "cancelled")
end
local n = tonumber(v[5] or "0")
if n > 0 or v[7] then
  put("out", 1)
  redis.call("HSET", rec, unpack(set))
  redis.call("ZADD", open, ARGV[6], ARGV[1])
else
  redis.call("HSET", rec, unpack(set))
  redis.call("ZREM", open, ARGV[1])
  redis.call("PEXPIRE", rec, ARGV[7])
end
if v[4] or v[8] then redis.call("HDEL", rec, "cancel", "next") end
if v[9] and st == "completed" then redis.call("HDEL", rec, "code", "err") end
local r = {"done", st, v[7] or ""}
for i = 0, n - 1 do r[#r + 1] = redis.call("HGET", rec, "to" .. i) end
return r
