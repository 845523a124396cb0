-- Remove a claim if it is still of the target: its id may be another's by now.
-- KEYS[1] claim:$id   ARGV[1] user or '', ARGV[2] session or '', ARGV[3] channel or ''
-- Returns {0}, or {1, channels} with the channels it had when it was removed.
local now = redis.call('HMGET', KEYS[1], 'user', 'session', 'channels')
if not now[1] then
  return {0}
end
if ARGV[1] ~= '' and now[1] ~= ARGV[1] or ARGV[2] ~= '' and now[2] ~= ARGV[2] then
  return {0}
end
local channels = now[3] or ''
if ARGV[3] ~= '' and not string.find(',' .. channels .. ',', ',' .. ARGV[3] .. ',', 1, true) then
  return {0}
end
redis.call('DEL', KEYS[1])
return {1, channels}
