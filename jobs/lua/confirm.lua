-- Around a script of Asynq's that puts a task in: only while its record waits for it,
-- which then knows that it is there. Asynq's own keys and arguments keep their places.
-- Behind theirs, which is that script, and awaits.
-- KEYS and ARGV: Asynq's, then the record; then its generation, and only.
local rec, gen, only = KEYS[#KEYS], ARGV[#ARGV - 1], ARGV[#ARGV]
if not awaits(rec, gen, only) then return 0 end
local r = theirs(KEYS, ARGV)
if r == 1 then redis.call("HDEL", rec, "opened") end
return r
