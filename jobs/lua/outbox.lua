-- Notes how far the delivery of a terminal event has come: that it has set off
-- what follows, and which sessions have it.
-- KEYS: record. ARGV: id, gen, field...: each gets the generation.
-- Returns 1, or 0 when nothing of that generation is undelivered any more.
local rec = KEYS[1]
local _, gen = unpack(ARGV, 1, 2)
local recGen, fin, out = unpack(redis.call("HMGET", rec, "gen", "fin", "out"))
if recGen ~= gen or fin ~= gen or not out then return 0 end
for i = 3, #ARGV do redis.call("HSET", rec, ARGV[i], gen) end
return 1
