-- Add a claim id to a set whose life only grows, and that never gets an end it had not.
-- KEYS[1] claim-*:...   ARGV[1] claim id, ARGV[2] milliseconds to live
local is_new = redis.call('EXISTS', KEYS[1]) == 0
redis.call('SADD', KEYS[1], ARGV[1])
if is_new then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
else
  local left = redis.call('PTTL', KEYS[1])
  if left >= 0 and left < tonumber(ARGV[2]) then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
  end
end
return 1
