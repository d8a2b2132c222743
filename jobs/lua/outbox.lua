-- Notes how far the delivery of a terminal event has come: that it has set off
-- what follows, and who has it.
-- KEYS: record, open. ARGV: id, gen, number of fields of the record, these, then
-- destinations beside the record: each gets the generation.
-- Returns 1, or 0 when nothing of that generation is undelivered any more.
local rec, open = KEYS[1], KEYS[2]
local id, gen, fields = unpack(ARGV, 1, 3)
local recGen, fin, out = unpack(redis.call("HMGET", rec, "gen", "fin", "out"))
if recGen ~= gen or fin ~= gen or not out then return 0 end
local last = 3 + tonumber(fields)
for i = 4, last do redis.call("HSET", rec, ARGV[i], gen) end
local others = string.sub(open, 1, -5) .. "w:" .. id
for i = last + 1, #ARGV do redis.call("HSET", others, ARGV[i], gen) end
return 1
