-- Notes how far a terminal event has come that is still owed: what it has set
-- off, and who has it.
-- KEYS: record, open. ARGV: id, gen, field...: each gets the generation.
-- Returns 1, or 0 when nothing is owed any more.
local v = redis.call("HMGET", KEYS[1], "gen", "fin", "out")
if v[1] ~= ARGV[2] or v[2] ~= v[1] or not v[3] then return 0 end
for i = 3, #ARGV do redis.call("HSET", KEYS[1], ARGV[i], ARGV[2]) end
return 1
