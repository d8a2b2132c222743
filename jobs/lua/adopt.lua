-- Opens a run of an adopted task, whose attempts Asynq counts: it makes the
-- record, or opens its next generation when the job is over and the task came
-- anew, by its producer or by an operator. Behind entry.
-- KEYS: record, open.
-- ARGV: id, queue and ID of the task, attempt, attempts, destination, token of the
-- call, check after in ms, then field, value, ... of a new record.
-- Returns {verdict, gen, run, state}: run; cancel, one is asked for; over, a
-- crash left the task behind after the job's end; undelivered, likewise, and the
-- event is; or taken, the ID is another job's.
-- Invariant: a repeat of a call whose answer was lost (the same token) is
-- answered alike.
local rec, open = KEYS[1], KEYS[2]
local id, queue, task, att, lim, to, token, check = unpack(ARGV, 1, 8)
local gen, fin, run, st, recQueue, recTask, recAtt, cancel, tok, out, kind, made, ended =
  unpack(redis.call("HMGET", rec, "gen", "fin", "run", "st", "queue", "raw", "att", "cancel", "tok", "out", "kind", "made", "end"))
if gen and (recQueue ~= queue or recTask ~= task) then return {"taken"} end
if gen and tok == token then return {cancel == "1" and "cancel" or "run", tonumber(gen), tonumber(run), st} end
-- Asynq counts what a crash leaves behind as one more attempt.
if gen and fin == gen and tonumber(att) > tonumber(recAtt or "0") then return {out and "undelivered" or "over", tonumber(gen), tonumber(run), st} end
if gen and fin == gen and out then return {"undelivered", tonumber(gen), tonumber(run), st} end
local t = redis.call("TIME")
local ms = t[1] * 1000 + math.floor(t[2] / 1000)
local now = string.format("%.0f", ms)
local before = gen and entry(st, kind, queue, made, ended, id)
if not gen then
  redis.call("HSET", rec, "gen", 1, "queue", queue, "raw", task, "made", now, unpack(ARGV, 9))
elseif fin == gen then
  redis.call("HDEL", rec, "cancel", "res", "code", "err", "frac", "msg", "next", "end", "outn", "why", "went", "told", "to0", "ton")
  if redis.call("HDEL", rec, "steps") == 1 then redis.call("UNLINK", string.sub(open, 1, -5) .. "d:" .. id) end
  redis.call("HINCRBY", rec, "gen", 1)
  redis.call("HSET", rec, unpack(ARGV, 9))
  redis.call("PERSIST", rec)
  cancel = nil
end
redis.call("HDEL", rec, "next")
run = redis.call("HINCRBY", rec, "run", 1)
redis.call("HSET", rec, "to0", to, "ton", 1, "att", att, "lim", lim, "tok", token)
if cancel ~= "1" then
  redis.call("HSET", rec, "st", "running", "hb", now, "start", now, "upd", now)
  kind, made = unpack(redis.call("HMGET", rec, "kind", "made"))
  move(open, before, entry("running", kind, queue, made, nil, id))
end
redis.call("ZADD", open, string.format("%.0f", ms + check), id)
return {cancel == "1" and "cancel" or "run", tonumber(redis.call("HGET", rec, "gen")), run, "running"}
