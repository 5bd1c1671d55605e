-- Hold: KEYS[1] is the holders, a sorted set by when their leases end; ARGV holder,
-- most (0: any) and lease (milliseconds).
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
local count, has = redis.call('ZCARD', KEYS[1]), redis.call('ZSCORE', KEYS[1], ARGV[1])
local most = tonumber(ARGV[2])
if not has then
  if most > 0 and count >= most then return {0, count} end
  count = count + 1
end
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[3]), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {1, count}
