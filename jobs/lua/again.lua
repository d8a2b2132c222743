-- Sends a run back to wait: a retry, a snooze or a stop of the worker.
-- Behind entry.
-- KEYS: record, open.
-- ARGV: id, gen, run, now, checkAt, state, next, giveBack: 1 when it was no
-- attempt, code, err, error to keep or "", name of the wait that it is for or "".
-- Returns 1, 2 when a cancellation is asked for, 3 when the wait is over already, or
-- -1 when the run is stale.
-- Invariant: a repeat of a call whose answer was lost changes nothing.
local rec, open = KEYS[1], KEYS[2]
local id, gen, run, now, checkAt, state, next, giveBack, code, err, what, wait = unpack(ARGV)
local recGen, fin, recRun, cancel, st, recNext, kind, queue, made, errs =
  unpack(redis.call("HMGET", rec, "gen", "fin", "run", "cancel", "st", "next", "kind", "queue", "made", "errs"))
if recGen ~= gen or fin == gen or recRun ~= run then return -1 end
if cancel == "1" then return 2 end
local over = wait ~= "" and redis.call("HEXISTS", string.sub(open, 1, -5) .. "d:" .. id, "#a:" .. wait) == 1
if st == state and recNext == next then return over and 3 or 1 end
redis.call("HSET", rec, "st", state, "next", next, "upd", now)
redis.call("HDEL", rec, "mute")
if wait ~= "" then redis.call("HSET", rec, "wait", wait) end
if giveBack == "1" then redis.call("HINCRBY", rec, "att", -1) end
if code ~= "" then redis.call("HSET", rec, "code", code, "err", err) end
if what ~= "" then redis.call("HSET", rec, remember(errs, now, what)) end
move(open, entry(st, kind, queue, made, nil, id), entry(state, kind, queue, made, nil, id))
redis.call("ZADD", open, checkAt, id)
return over and 3 or 1
