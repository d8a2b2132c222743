-- fast: the way of nearly all appends, in front of lib.lua and append.lua, so that
-- nothing else is set up for it: the owner's bytes, at the end, in a stream that is
-- open, has room, trims nothing and has no lifetime. It does what append.lua would.
-- Anything else goes on there.
if ARGV[6] ~= '0' and ARGV[3] == '' and ARGV[5] == '' and ARGV[8] == '' and ARGV[9] == '' and #ARGV[4] > 0 then
  local body = ARGV[4]
  local v = redis.call('HMGET', KEYS[1], 'run', 'tail', 'base', 'cap', 'ed', 'gen', 'closed', 'keep', 'exp', 'st')
  if v[1] == ARGV[6] and v[2] == ARGV[7] and not (v[7] or v[8] or v[9] or v[10]) and v[2] - v[3] + #body <= tonumber(v[4]) then
    local tail = string.format('%.0f', v[2] + #body)
    redis.call('XADD', KEYS[2], tail .. '-0', 'b', body)
    redis.call('HSET', KEYS[1], 'tail', tail)
    redis.call('PUBLISH', ARGV[2], v[6] .. ' ' .. v[5] .. ' ' .. v[2] .. ' ' .. tail .. ' -\n' .. (#body <= tonumber(ARGV[12]) and body or ''))
    return {'ok', v[5], tail, '', ''}
  end
end
