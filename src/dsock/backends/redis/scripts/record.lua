-- Write a record that ends by itself.
-- KEYS[1] conn:$id or worker:$id   ARGV[1] milliseconds to live, ARGV[2] '1' to write it, '0' only if
-- it is there, then field, value...
-- Returns 1, or 0 when it is not there: Redis has forgotten it.
if ARGV[2] == '0' and redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
