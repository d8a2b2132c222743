-- Opens a run: whether the handler may start, and its fence. Behind entry.
-- KEYS: record, open, and the task where it is on the same server.
-- ARGV: id, gen, now, checkAt, token of the call, unknown: 1 when there was a
-- start before that the record may not know of, the name of the worker, token of the
-- task's hand-out or "", deaths that the job is charged with, how many of these and
-- how many runs in a row without a word there may be.
-- A run that left no word was no attempt: its worker died or was stopped, or Redis
-- took no writes.
-- Returns {verdict}, gone, old, or stale when another worker has the task; {verdict, state}, over or undelivered; or
-- {verdict, run, attempt, limit, destinations, the first of them, place in the
-- order of those who wait for a limit}, run, cancel or spent.
-- Invariant: run rises by one for each call, and a repeat of a call whose answer
-- was lost (the same token) is answered alike and changes no count.
local rec, open, task = unpack(KEYS, 1, 3)
local id, gen, now, checkAt, token, unknown, worker, handOut, deaths, mostDeaths, mostMute = unpack(ARGV)
if task and handOut ~= "" and redis.call("HGET", task, "lmh") ~= handOut then return {"stale"} end
local recGen, fin, st, lim, cancel, out, ton, recRun, recAtt, next, tok, to0, kind, queue, made, errs, recWorker, waits, came, mute =
  unpack(redis.call("HMGET", rec, "gen", "fin", "st", "lim", "cancel", "out", "ton", "run", "att", "next", "tok", "to0",
    "kind", "queue", "made", "errs", "worker", "waits", "came", "mute"))
if not recGen then return {"gone"} end
if recGen ~= gen then return {"old"} end
if fin == gen then return {out and "undelivered" or "over", st} end

local step = tok == token and 0 or 1
local run, att, limit = tonumber(recRun or "0") + step, tonumber(recAtt or "0"), tonumber(lim)
mute = tonumber(mute or "0")
local running = st == "running" or st == "stalled"
if step == 1 and not (running and att > 0) then att = att + 1 end
if step == 1 and (running or run == 1 and unknown == "1") then -- the run before has left no word
  mute = mute + 1
  redis.call("HSET", rec, "mute", mute, "dead", deaths, remember(errs, now, '{"g":' .. gen .. ',"a":' .. att ..
    ',"w":"' .. (recWorker or "") .. '","c":"crashed","m":"' .. (deaths == "0" and "the run was interrupted" or "the worker died of it: " .. deaths .. " of " .. mostDeaths) .. '"}'))
end
local verdict = "run"
if cancel == "1" then
  verdict = "cancel"
  redis.call("HSET", rec, "run", run, "tok", token)
elseif att > limit or tonumber(deaths) >= tonumber(mostDeaths) or mute > tonumber(mostMute) then
  verdict, att = "spent", math.min(att, limit)
  redis.call("HSET", rec, "run", run, "att", att, "tok", token)
else
  redis.call("HSET", rec, "run", run, "att", att, "st", "running", "hb", now, "start", now, "upd", now, "tok", token, "worker", worker)
  move(open, entry(st, kind, queue, made, nil, id), entry("running", kind, queue, made, nil, id))
  if next or waits then redis.call("HDEL", rec, "next", "waits", "wait") end
end
redis.call("ZADD", open, checkAt, id)
return {verdict, run, att, limit, tonumber(ton or "0"), to0 or "", tonumber(came or "0")}
