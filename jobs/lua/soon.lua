-- Has a worker look for what is due soon: one of those who wait for a queue, who
-- goes on waiting.
-- KEYS: idle. ARGV: what begins the channels, blind.
while true do
  local w = redis.call("ZRANGE", KEYS[1], 0, 0)
  if not w[1] then return 0 end
  local heard = redis.pcall("PUBLISH", ARGV[1] .. w[1], "")
  if type(heard) == "table" or heard > 0 or ARGV[2] == "1" then return 1 end
  redis.call("ZREM", KEYS[1], w[1])
end
