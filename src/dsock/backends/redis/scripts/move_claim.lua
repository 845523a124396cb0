-- Put a claim into a channel or take it out, if it is still there and still the same user's.
-- KEYS[1] claim:$id   ARGV[1] channel, ARGV[2] '1' in or '0' out, ARGV[3] user, ARGV[4] session or ''
-- Returns 1 when the claim is as wanted now, 0 when there is no such claim.
local now = redis.call('HMGET', KEYS[1], 'user', 'session', 'channels')
if now[1] ~= ARGV[3] or (now[2] or '') ~= ARGV[4] then
  return 0
end
local kept = {}
for name in string.gmatch(now[3] or '', '[^,]+') do
  if name == ARGV[1] and ARGV[2] == '1' then
    return 1
  end
  if name ~= ARGV[1] then
    kept[#kept + 1] = name
  end
end
if ARGV[2] == '1' then
  kept[#kept + 1] = ARGV[1]
end
if #kept == 0 then
  redis.call('HDEL', KEYS[1], 'channels')
else
  redis.call('HSET', KEYS[1], 'channels', table.concat(kept, ','))
end
return 1
