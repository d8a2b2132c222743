-- A function for other scripts: wakes n workers that wait for a queue, those that
-- have waited for the longest, each by its own channel.
-- idle: who waits; channel: what begins the channels; pending: the queue's list;
-- blind: on a cluster PUBLISH counts the hearers on its own server only, so two
-- are told. Returns how many were told, and true when Redis does not let this user
-- publish: then the sweep finds the task.
local function wake(idle, channel, pending, n, blind)
  for i = 1, n do
    local told = 0
    repeat
      local w = redis.call("ZPOPMIN", idle)
      if not w[1] then return i - 1, false end
      local heard = redis.pcall("PUBLISH", channel .. w[1], pending)
      if type(heard) == "table" then return i - 1, true end
      told = told + (blind == "1" and 0.5 or heard)
    until told >= 1
  end
  return n, false
end
