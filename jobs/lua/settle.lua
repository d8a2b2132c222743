-- Notes that a terminal event is stored with everybody who wanted it.
-- KEYS: record, open. ARGV: id, gen, retention.
-- Returns 1, or 0 when the job is not over in that generation any more.
-- Invariant: a record without out keeps its retention; one with out has none.
local rec, open = KEYS[1], KEYS[2]
local id, gen, retention = unpack(ARGV)
local recGen, fin, ton, steps = unpack(redis.call("HMGET", rec, "gen", "fin", "ton", "steps"))
if recGen ~= gen or fin ~= gen then return 0 end
redis.call("HDEL", rec, "out", "outn")
redis.call("ZREM", open, id)
redis.call("PEXPIRE", rec, retention)
if steps then redis.call("PEXPIRE", string.sub(open, 1, -5) .. "d:" .. id, retention) end
if tonumber(ton or "0") > 1 then redis.call("PEXPIRE", string.sub(open, 1, -5) .. "w:" .. id, retention) end
return 1
