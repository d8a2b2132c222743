-- Notes the end of a batch's member.
-- KEYS: batch. ARGV: place, gen, end: the member as it ended, seen: the
-- generation of finally that there is, 0 for none.
-- Returns {due, seen, finally}. due is 1 when finally is to run: all have ended,
-- and it has not run for this end; seen is the generation of finally that was
-- there when this end was noted first (0: none yet, -1: it is gone), and finally
-- the step.
-- Invariant: ended counts each member once; an end is noted once for each
-- generation, and a later one replaces it.
local batch = KEYS[1]
local place, gen, member, seen = unpack(ARGV)
local n, ended, life, done, noted, before, settled, finally =
  unpack(redis.call("HMGET", batch, "n", "ended", "life", "done", "g:" .. place, "f:" .. place, "d:" .. place, "finally"))
if not n then return {0, 0, ""} end
ended = tonumber(ended or "0")
if not noted or tonumber(noted) < tonumber(gen) then
  if not noted then ended = redis.call("HINCRBY", batch, "ended", 1) end
  before = seen == "0" and done and "-1" or seen
  redis.call("HSET", batch, "g:" .. place, gen, "m:" .. place, member, "f:" .. place, before)
  redis.call("HDEL", batch, "s:" .. place)
end
redis.call("PEXPIRE", batch, life)
if ended < tonumber(n) or settled == gen then return {0, 0, ""} end
if before == "0" and done then return {0, 0, ""} end -- another end has had finally enqueued
return {1, tonumber(before), finally}
