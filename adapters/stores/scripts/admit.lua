-- KEYS: the indices. ARGV: id, lease (ms), bound. Reserves a place among the live calls; 0: there is none.
local id, bound, now = ARGV[1], tonumber(ARGV[3]), now_ms()
local live, claims = KEYS[2], KEYS[8]
if not redis.call('ZSCORE', live, id) then
  redis.call('ZREM', claims, id)
  if redis.call('ZCARD', live) + redis.call('ZCOUNT', claims, '(' .. whole(now), '+inf') >= bound then return 0 end
  redis.call('ZADD', claims, whole(now + tonumber(ARGV[2])), id)
end
return 1
