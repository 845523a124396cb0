-- Use a claim up if it still reads as the caller has read it.
-- KEYS[1] claim:$id   ARGV[1] user, ARGV[2] session or '', ARGV[3] channels or ''
-- Returns {} taken; else what read_claim would.
-- Another program may have written a channel twice, or an empty one: read them as we do.
local now = redis.call('HMGET', KEYS[1], 'user', 'session', 'channels')
local channels, seen = {}, {}
for name in string.gmatch(now[3] or '', '[^,]+') do
  if not seen[name] then
    seen[name] = true
    channels[#channels + 1] = name
  end
end
channels = table.concat(channels, ',')
if now[1] == ARGV[1] and (now[2] or '') == ARGV[2] and channels == ARGV[3] then
  -- A Redis that is full takes no record of who comes in: this fails there, and the claim is kept.
  redis.call('HSET', KEYS[1], 'user', ARGV[1])
  redis.call('DEL', KEYS[1])
  return {}
end
local reply = redis.call('HGETALL', KEYS[1])
table.insert(reply, 1, redis.call('PTTL', KEYS[1]))
return reply
