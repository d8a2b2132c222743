-- Opens the next generation of a job that is over. Behind entry.
-- KEYS: record, open.
-- ARGV: id, gen, now, checkAt, to: a destination or "", unique: until when it is
-- so or "" to keep that and all destinations, token of the call, state, then
-- field, value, ... of what is asked for now.
-- Returns the new generation, 0 when the job is not over in that generation, or
-- -1 when its terminal event is undelivered.
-- Invariant: a generation opens once; a repeat of a call whose answer was lost
-- (the same token) is answered alike. Whoever opens one takes "opened" away once its
-- task is in the queue; until then a watchdog puts it there if it is missing.
local rec, open = KEYS[1], KEYS[2]
local id, gen, now, checkAt, to, unique, token, state, field = unpack(ARGV, 1, 9)
local others = string.sub(open, 1, -5) .. "w:" .. id
local steps = string.sub(open, 1, -5) .. "d:" .. id
local recGen, fin, out, tok, st, kind, queue, made, ended =
  unpack(redis.call("HMGET", rec, "gen", "fin", "out", "tok", "st", "kind", "queue", "made", "end"))
if tok == token then return tonumber(recGen) end
if recGen ~= gen or fin ~= gen then return 0 end
if out then return -1 end
redis.call("HDEL", rec, "cancel", "res", "code", "err", "frac", "msg", "next", "end", "hb", "start", "outn", "why", "went", "told", "waits", "wait", "mute", "dead")
if redis.call("HDEL", rec, "steps") == 1 then redis.call("UNLINK", steps) end -- those of a generation are its own
if unique ~= "" then -- asked for anew: those who asked before have had their answer
  redis.call("UNLINK", others)
  redis.call("HDEL", rec, "to0", "ton", "follow")
  if to ~= "" then redis.call("HSET", rec, "to0", to, "ton", 1) end
  redis.call("HSET", rec, "uni", unique)
end
local opened = redis.call("HINCRBY", rec, "gen", 1)
redis.call("HSET", rec, "st", state, "att", 0, "upd", now, "tok", token, "opened", opened)
if field == "came" then -- as in create
  local t = redis.call("TIME")
  ARGV[10] = ARGV[10] ~= "" and redis.call("INCR", ARGV[10]) or string.format("%.0f", t[1] * 1000000 + t[2])
end
if field then redis.call("HSET", rec, unpack(ARGV, 9)) end
local newQueue, newMade = unpack(redis.call("HMGET", rec, "queue", "made"))
move(open, entry(st, kind, queue, made, ended, id), entry(state, kind, newQueue, newMade, nil, id))
redis.call("PERSIST", rec)
redis.call("PERSIST", others)
redis.call("ZADD", open, checkAt, id)
return opened
