-- Keeps what has been done of a bulk: one process at a time goes on with it, and
-- another one when nothing has been heard of that for a while.
-- KEYS: bulk. ARGV: life in ms; then to begin a turn: seconds of silence before it
-- may; to note what was done: the turn, how many were done, left out and failed,
-- then field, value, ....
-- Returns 0 when the turn is another process's or the bulk is over, else the turn.
-- Invariant: what is noted is the turn's own.
local bulk = KEYS[1]
local life, turn, done, skipped, failed = unpack(ARGV, 1, 5)
local t = redis.call("TIME")
local current, at, ended = unpack(redis.call("HMGET", bulk, "turn", "at", "ended"))
if not current or ended then return 0 end
if done then
  if current ~= turn then return 0 end
  redis.call("HINCRBY", bulk, "done", done)
  redis.call("HINCRBY", bulk, "skipped", skipped)
  redis.call("HINCRBY", bulk, "failed", failed)
  if #ARGV > 5 then redis.call("HSET", bulk, unpack(ARGV, 6)) end
else
  if at and t[1] - at < tonumber(turn) and t[1] - at >= 0 then return 0 end
  current = redis.call("HINCRBY", bulk, "turn", 1)
end
redis.call("HSET", bulk, "at", t[1])
redis.call("PEXPIRE", bulk, life)
return tonumber(current)
