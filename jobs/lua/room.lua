-- Before scripts that a run needs to get on or to end. A full Redis refuses a script
-- only at its first write, and none that needs no memory, so it takes these: what
-- they add is bounded by what runs. KEYS[1] is a hash.
redis.call("HDEL", KEYS[1], "")
