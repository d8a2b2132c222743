-- Makes a job's record, or joins the open job of the same ID.
-- Behind offset, the number of arguments before its own, and entry.
-- KEYS: record, open.
-- ARGV: id, now, checkAt, to: a destination or "", unique: until when it is so
-- or "", its entry in the index, then field, value, ... of a new record.
-- Returns {verdict, gen, run, state}: new, open (it is still going on), kept
-- (over, and still the answer), stale (over, may be opened again).
-- Invariant: a record that is there keeps its fields; it gains a destination at
-- most.
local rec, open = KEYS[1], KEYS[2]
local id, now, checkAt, to, unique, listed = unpack(ARGV, offset + 1, offset + 6)
local gen, fin, run, st, uni, ton = unpack(redis.call("HMGET", rec, "gen", "fin", "run", "st", "uni", "ton"))
if not gen then
  redis.call("HSET", rec, unpack(ARGV, offset + 7))
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
