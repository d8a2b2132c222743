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

-- Entries of what has ended are in a second set too, by the time ended.
local function endsOf(index, e)
  local ended = string.sub(e, -13)
  if ended ~= stamp() then return string.sub(index, 1, -6) .. "ends", ended end
end

local function put(index, e)
  redis.call("ZADD", index, 0, e)
  local ends, ended = endsOf(index, e)
  if ends then redis.call("ZADD", ends, ended, e) end
end

local function drop(index, e)
  local ends = endsOf(index, e)
  if ends then redis.call("ZREM", ends, e) end
  return redis.call("ZREM", index, e)
end

local function move(open, from, to)
  if from == to then return end
  if from then drop(indexOf(open), from) end
  if to then put(indexOf(open), to) end
end

-- enter adds the entry of a job that may have been listed by its task alone.
local function enter(open, to)
  local rest = string.sub(string.match(to, "\1.*"), 1, -14) .. stamp()
  redis.call("ZREM", indexOf(open), "queued" .. rest, "scheduled" .. rest)
  put(indexOf(open), to)
end

-- remember returns the fields that keep an attempt's error, in a ring of ten. n
-- is how many there have been.
local function remember(n, now, what)
  n = tonumber(n or "0")
  return "errs", n + 1, "e" .. n % 10, now .. " " .. what
end
