-- Functions for other scripts: a job's entry in the index of its shard, and the
-- errors that its record keeps.
-- An entry is the state, the kind and the queue, each ended by \1, the time made,
-- the ID, \1 and the time ended, or zeros. All have one score, so that the set is
-- in the order of its members: each state, kind and queue by the time made.
-- Invariant: there is one entry for each record, and it agrees with the record.
-- Whatever changes a state moves it in the same script.
local function stamp(ms) return string.sub("0000000000000" .. (ms or ""), -13) end
local function plainly(name) return (string.gsub(name or "", "[\1\2]", "?")) end

local function entry(st, kind, queue, made, ended, id)
  return (st or "") .. "\1" .. plainly(kind) .. "\1" .. plainly(queue) .. "\1" .. stamp(made) .. id .. "\1" .. stamp(ended)
end

local function indexOf(open) return string.sub(open, 1, -5) .. "index" end

local function move(open, from, to)
  if from == to then return end
  if from then redis.call("ZREM", indexOf(open), from) end
  if to then redis.call("ZADD", indexOf(open), 0, to) end
end

-- enter adds the entry of a job that may have been listed by its task alone.
local function enter(open, to)
  local rest = string.sub(string.match(to, "\1.*"), 1, -14) .. stamp()
  redis.call("ZREM", indexOf(open), "queued" .. rest, "scheduled" .. rest)
  redis.call("ZADD", indexOf(open), 0, to)
end

-- remember returns the fields that keep an attempt's error, in a ring of ten. n
-- is how many there have been.
local function remember(n, now, what)
  n = tonumber(n or "0")
  return "errs", n + 1, "e" .. n % 10, now .. " " .. what
end
