-- Gives the places of a job back, and hands them on. Behind hand.
-- KEYS: the three of each limit. ARGV: move, who had them, his run, lease of a
-- place in ms, channels, what begins the keys of idle workers, then of each limit
-- the number, the period and the name.
-- Returns who is handed something, without move.
-- Invariant: a run that another one has followed takes nothing from that.
local move, me, run, lease, channel, idle = ARGV[1] == "1", ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6]
local moved = {}
for _, l in ipairs(limits(1, 7)) do
  if l.per == 0 and redis.call("HGET", l.holders, me) == run then
    back(l, me, lease, move, nil, moved, channel, idle)
  end
end
return moved
