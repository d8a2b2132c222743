-- expire: has a stream end after some time, whatever was said before. Behind
-- lib.lua. ARGV 3 time (ms). Returns 'ok', 'none', 'gone'.
local m = load(KEYS[1], KEYS[2])
if not m or m.st == 'new' then return 'none' end
if m.st then return 'gone' end
m.exp = int(now() + ARGV[3])
redis.call('HDEL', KEYS[1], 'ttl')
redis.call('HSET', KEYS[1], 'exp', m.exp)
lease(KEYS[1], KEYS[2], m)
return 'ok'
