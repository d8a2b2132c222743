-- take: raises a connection's fence and returns its record.
--
-- KEYS 1 connection
-- ARGV 1 lifetime (ms), 2 step of the fence
-- Returns {view, state, cursor, client, fence, epoch}, or nothing without a record.
--
-- Afterwards whoever held the connection with a lower fence cannot commit.
local connection, lifetime, step = KEYS[1], ARGV[1], ARGV[2]
local VIEW, STATE, CURSOR, CLIENT, FENCE, EPOCH = 'v', 's', 'c', 'm', 'f', 'e'

if redis.call('EXISTS', connection) == 0 then return {} end
redis.call('HINCRBY', connection, FENCE, step)
redis.call('PEXPIRE', connection, lifetime)
return redis.call('HMGET', connection, VIEW, STATE, CURSOR, CLIENT, FENCE, EPOCH)
