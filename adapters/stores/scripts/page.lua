-- KEYS: an index by creation. ARGV: how many, and created at and id of the call before, if there is one. Returns ids and
-- scores, newest first; calls that began at the same time come by their ids.
local key, limit = KEYS[1], tonumber(ARGV[1])
local start = 0

-- Whether one string of bytes comes after another; Lua's own order is that of the server's locale.
local function comes_after(one, other)
  for at = 1, math.min(#one, #other) do
    local a, b = one:byte(at), other:byte(at)
    if a ~= b then return a > b end
  end
  return #one > #other
end

if ARGV[2] then
  local score = redis.call('ZSCORE', key, ARGV[3])
  if score and tonumber(score) == tonumber(ARGV[2]) then
    start = redis.call('ZREVRANK', key, ARGV[3]) + 1
  else
    start = redis.call('ZCOUNT', key, '(' .. ARGV[2], '+inf')
    for _, id in ipairs(redis.call('ZREVRANGEBYSCORE', key, ARGV[2], ARGV[2])) do
      if comes_after(id, ARGV[3]) then start = start + 1 end
    end
  end
end
return redis.call('ZREVRANGE', key, start, start + limit - 1, 'WITHSCORES')
