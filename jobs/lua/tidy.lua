-- Compares entries of indexes with the records, some at a time, and mends them:
-- records expire, and who enqueues a job without a record may die before its task
-- is there. Behind entry.
-- KEYS: for each shard its index, and where the comparison is. ARGV: seconds to
-- wait after a comparison, how many entries, the beginning of the keys of tasks
-- up to the queue's name or "" when these are elsewhere, what follows the name.
-- Returns {1 when much was mended, entries without a record whose task is to be
-- looked for...}.
local t, r = redis.call("TIME"), {0}
local now, wait, most, task, of = tonumber(t[1]), tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]

local function waiting(st) return st == "queued" or st == "scheduled" end

local function check(index, m)
  local st, kind, queue, rest = string.match(m, "^([^\1]*)\1([^\1]*)\1([^\1]*)\1(.*)$")
  local id = rest and string.sub(rest, 14, -15)
  if not id then return drop(index, m) end
  local v = redis.call("HMGET", string.sub(index, 1, -6) .. "r:" .. id, "gen", "st", "kind", "queue", "made", "end")
  if v[1] then
    local right = entry(v[2], v[3], v[4], v[5], v[6], id)
    put(index, right)
    if right == m then return 0 end
  elseif waiting(st) then
    if tonumber(string.sub(rest, 1, 13)) > now * 1000 - 20000 then return 0 end -- its task may be on its way
    if task == "" then r[#r + 1] = m end
    if task == "" or redis.call("EXISTS", task .. queue .. of .. id) == 1 then return 0 end
  end
  return drop(index, m)
end

for i = 1, #KEYS, 2 do
  local index, place = KEYS[i], KEYS[i + 1]
  local at, after = unpack(redis.call("HMGET", place, "at", "after"))
  if not at or now < tonumber(at) or now >= tonumber(at) + wait then
    local members = redis.call("ZRANGEBYLEX", index, after and after ~= "" and "(" .. after or "-", "+", "LIMIT", 0, most)
    local mended = 0
    for _, m in ipairs(members) do mended = mended + check(index, m) end
    if mended * 4 > most then r[1] = 1 end
    if #members > 0 or after then
      redis.call("HSET", place, "at", mended * 4 > most and 0 or now, "after", #members == most and members[most] or "")
      redis.call("EXPIRE", place, 86400)
    end
  end
end
return r
