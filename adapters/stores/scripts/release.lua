-- ARGV: id, owner, fence.
local call = read_lease()
if call.claimed and call.owner == ARGV[2] and call.fence == tonumber(ARGV[3]) then
  local lease_until = whole(math.min(call.lease_until, now_ms()))
  redis.call('HSET', LEASE, 'until', lease_until)
  return {placed(ARGV[1], call.placed, lease_until)}
end
return {false}
