-- Decides a job's end, once for each generation, and puts its event into the
-- outbox when somebody wants one or something follows. Behind entry.
-- KEYS: record, open.
-- ARGV: id, gen, run or "0" for no fence, state, now, deliverAt: when the
-- watchdog takes over, retention, result, code, err, error to keep or "".
-- Returns {done, state, follow, destinations, the first of them}; {over, state}
-- when it was decided before; or {stale}.
-- Invariant: what ends a generation sets fin, and out unless nobody is to hear
-- of it, in one step. A cancellation that was asked for before goes first.
local rec, open = KEYS[1], KEYS[2]
local id, gen, run, state, now, deliverAt, retention, result, code, err, what = unpack(ARGV)
local recGen, fin, recRun, cancel, ton, recState, follow, next, recCode, to0, kind, queue, made, errs, steps =
  unpack(redis.call("HMGET", rec, "gen", "fin", "run", "cancel", "ton", "st", "follow", "next", "code", "to0",
    "kind", "queue", "made", "errs", "steps"))
if recGen ~= gen then return {"stale", ""} end
if fin == gen then return {"over", recState} end
if run ~= "0" and (recRun or "0") ~= run then return {"stale", ""} end
local st = cancel == "1" and "cancelled" or state
local set = {"fin", gen, "st", st, "end", now, "upd", now}
local function put(field, value) set[#set + 1] = field; set[#set + 1] = value end
if st == "completed" then
  put("res", result)
elseif st == state then
  put("code", code)
  put("err", err)
else
  put("code", "cancelled")
  put("err", "cancelled")
end
local n = tonumber(ton or "0")
if n > 0 or follow then
  put("out", 1)
  redis.call("HSET", rec, unpack(set))
  redis.call("ZADD", open, deliverAt, id)
else
  redis.call("HSET", rec, unpack(set))
  redis.call("ZREM", open, id)
  redis.call("PEXPIRE", rec, retention)
  if steps then redis.call("PEXPIRE", string.sub(open, 1, -5) .. "d:" .. id, retention) end
end
if what ~= "" and st == state then redis.call("HSET", rec, remember(errs, now, what)) end
move(open, entry(recState, kind, queue, made, nil, id), entry(st, kind, queue, made, now, id))
if cancel or next then redis.call("HDEL", rec, "cancel", "next") end
if recCode and st == "completed" then redis.call("HDEL", rec, "code", "err") end
return {"done", st, follow or "", n, to0 or ""}
