-- Makes a job's record, or joins the open job of the same ID.
-- Behind offset, the number of arguments before its own, and entry.
-- KEYS: record, open.
-- ARGV: id, now, checkAt, to: a destination or "", unique: until when it is so
-- or "", its entry in the index, then of a job with limits came, the counter's key
-- or "", its name among those who wait (see hand.lua) and the keys of its limits, a
-- line each; then field, value, ... of a new record.
-- Returns {verdict, gen, run, state}: new, open (it is still going on), kept
-- (over, and still the answer), stale (over, may be opened again).
-- Invariant: a record that is there keeps its fields; it gains a destination at
-- most.
local rec, open = KEYS[1], KEYS[2]
local id, now, checkAt, to, unique, listed = unpack(ARGV, offset + 1, offset + 6)
local gen, fin, run, st, uni, ton = unpack(redis.call("HMGET", rec, "gen", "fin", "run", "st", "uni", "ton"))
if not gen then
  local field = offset + 7
  if ARGV[field] == "came" then
    -- A job with limits has a place in the order of all: by a counter where all keys
    -- are on one server, else by the time. There it is also noted with its limits.
    local t = redis.call("TIME")
    local came = ARGV[field + 1] ~= "" and redis.call("INCR", ARGV[field + 1]) or string.format("%.0f", t[1] * 1000000 + t[2])
    redis.call("HSET", rec, "came", came)
    for key in string.gmatch(ARGV[field + 3], "[^\n]+") do
      redis.call("ZADD", key .. ":e", came, ARGV[field + 2])
      redis.call("EXPIRE", key .. ":e", 2 * 86400)
    end
    field = field + 4
  end
  redis.call("HSET", rec, unpack(ARGV, field))
  redis.call("ZADD", open, checkAt, id)
  enter(open, listed)
  return {"new", 1, 0, "queued"}
end
local over = fin == gen
gen, run = tonumber(gen), tonumber(run or "0")
if not over then
  if to ~= "" then
    if not ton then
      redis.call("HSET", rec, "to0", to, "ton", 1)
    elseif redis.call("HGET", rec, "to0") ~= to then
      -- The others are beside the record: there may be any number of them.
      local others = string.sub(open, 1, -5) .. "w:" .. id
      if redis.call("HSETNX", others, to, 0) == 1 then redis.call("HINCRBY", rec, "ton", 1) end
    end
  end
  if run == 0 then redis.call("HSET", rec, "joined", 1) end -- whoever made it may not take it back any more
  return {"open", gen, run, st}
end
if unique == "" then return {"kept", gen, run, st} end
if st == "completed" and tonumber(uni or "0") > tonumber(now) then return {"kept", gen, run, st} end
return {"stale", gen, run, st}
