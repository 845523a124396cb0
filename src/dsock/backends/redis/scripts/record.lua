-- Write a record that ends by itself.
-- KEYS[1] conn:$id or worker:$id   ARGV[1] milliseconds to live, then field, value...
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
