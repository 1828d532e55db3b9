-- ARGV: the version after which to begin, and how many. Ids are `<fence>-<version>`; `runs` tells where a fence began.
local after, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
local from
for fence, version in string.gmatch(redis.call('HGET', LEASE, 'runs') or '', '(%d+):(%d+)') do
  if tonumber(version) <= after + 1 then from = fence .. '-' .. whole(after + 1) end
end
if from or after <= 0 then return redis.call('XRANGE', LOG, from or '-', '+', 'COUNT', limit) end
local found = {}
for _, entry in ipairs(redis.call('XRANGE', LOG, '-', '+')) do
  if tonumber(string.match(entry[1], '%-(%d+)$')) > after and #found < limit then found[#found + 1] = entry end
end
return found
