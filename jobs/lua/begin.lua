-- Opens an execution: the verdict whether the handler may run, and its fence.
-- KEYS: record, open. ARGV: id, gen, now, check at, token of the execution: a
-- repeat of a call whose answer was lost is answered alike and counts nothing;
-- 1 when there was a start before of which the record may know nothing: then it
-- was an attempt too.
-- Returns {verdict, run or state, attempt, limit, destination...}.
local rec, open = KEYS[1], KEYS[2]
local v = redis.call("HMGET", rec, "gen", "fin", "st", "lim", "cancel", "out", "ton", "run", "att", "next", "tok")
if not v[1] then return {"gone"} end
if v[1] ~= ARGV[2] then return {"old"} end
if v[2] == v[1] then return {v[6] and "owed" or "over", v[3]} end
local step = v[11] == ARGV[5] and 0 or 1
local run, att, lim = tonumber(v[8] or "0") + step, tonumber(v[9] or "0") + step, tonumber(v[4])
if run == 1 and step == 1 and ARGV[6] == "1" then att = att + 1 end
local verdict = "run"
if v[5] == "1" then
  verdict = "cancel"
  redis.call("HSET", rec, "run", run, "tok", ARGV[5])
elseif att > lim then
  verdict = "spent"
  redis.call("HSET", rec, "run", run, "att", att, "tok", ARGV[5])
else
  redis.call("HSET", rec, "run", run, "att", att, "st", "running", "hb", ARGV[3], "start", ARGV[3], "upd", ARGV[3], "tok", ARGV[5])
  if v[10] then redis.call("HDEL", rec, "next") end
end
redis.call("ZADD", open, ARGV[4], ARGV[1])
local r = {verdict, run, att, lim}
for i = 0, tonumber(v[7] or "0") - 1 do r[#r + 1] = redis.call("HGET", rec, "to" .. i) end
return r
