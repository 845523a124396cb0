-- A claim's fields and its time to live.
-- KEYS[1] claim:$id
-- Returns {milliseconds (-1 without end, -2 no such claim), field, value, field, value...}.
local reply = redis.call('HGETALL', KEYS[1])
table.insert(reply, 1, redis.call('PTTL', KEYS[1]))
return reply
