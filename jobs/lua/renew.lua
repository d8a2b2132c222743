-- Renews the leases of a run's places; one that ran out it takes again if there
-- is room. Behind hand.
-- KEYS: the three of each limit. ARGV: who has them, his run, lease in ms, then of
-- each limit the number, the period and the name.
-- Returns 1.
for _, l in ipairs(limits(1, 4)) do
  if l.per == 0 then
    local held = redis.call("HGET", l.holders, ARGV[1]) == ARGV[2]
    if held and redis.call("ZSCORE", l.key, ARGV[1]) or room(l) == 0 then give(l, ARGV[1], ARGV[2], tonumber(ARGV[3])) end
  end
end
return 1
