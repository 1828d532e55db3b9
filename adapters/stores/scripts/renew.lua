-- ARGV: id, owner, fence, lease (ms), time to live (ms). Returns whether the call is the owner's, and what is to be placed.
local id, owner, fence, lease = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local call = read_lease()
if fence < call.fence or (fence == call.fence and call.claimed and owner ~= call.owner) then return {0, false} end
if call.known and call.settled then return {1, false} end
local lease_until = whole(now_ms() + lease)
name_lease(call, id)
redis.call('HSET', LEASE, 'fence', ARGV[3], 'owner', owner, 'until', lease_until)
if not call.known then
  redis.call('PEXPIRE', LEASE, lease + 3600000)
elseif not call.over then
  redis.call('PEXPIRE', DOCUMENT, ARGV[5])
end
return {1, placed(id, call.placed, lease_until)}
