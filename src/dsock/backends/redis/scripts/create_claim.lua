-- Store a claim unless its id is in use; never a claim without an end.
-- KEYS[1] claim:$id   ARGV[1] milliseconds to live, then field, value, field, value...
-- Returns 1, or 0 when the id is in use.
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
