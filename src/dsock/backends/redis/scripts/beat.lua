-- Note that a worker hears, by the clock of Redis.
-- KEYS[1] workers   ARGV[1] worker id, ARGV[2] '1' to enter, '0' only if it is in
-- Returns 1, or 0 when it is not in: it was declared gone, or Redis has forgotten it.
if ARGV[2] == '0' and not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  return 0
end
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], time[1] + time[2] / 1000000, ARGV[1])
return 1
