-- Incr: KEYS[1] is the value, ARGV by, ttl (milliseconds, 0: none) and the largest number.
local old = redis.call('GET', KEYS[1])
if old and old ~= '0' and not string.find(old, '^-?[1-9]%d*$') then return redis.error_reply('PMILTER ENOTNUMBER') end
local most = tonumber(ARGV[3])
local before, by = tonumber(old or 0), tonumber(ARGV[1])
if math.abs(before) > most or math.abs(before + by) > most then return redis.error_reply('PMILTER EOVERFLOW') end
local sum = redis.call('INCRBY', KEYS[1], ARGV[1])
if not old and ARGV[2] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return sum
