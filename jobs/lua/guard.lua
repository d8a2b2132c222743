-- Before each script of Asynq's that takes a task out of the active ones: it runs
-- only for whom the task was handed out to. Asynq's own keys and arguments keep
-- their places; the task's key and our own leases come after them, the task and the
-- token of its hand-out.
do
  local task, own, id, token = KEYS[#KEYS - 1], KEYS[#KEYS], ARGV[#ARGV - 1], ARGV[#ARGV]
  if (redis.call("HGET", task, "lmh") or "") ~= token then return redis.status_reply("FENCED") end
  redis.call("ZREM", own, id)
  redis.call("HDEL", task, "lmh") -- a repeated call must not find it
end
