-- ARGV: id, owner, lease (ms), force, bound: how many live calls there may be, 0: any number, -1: too many already.
-- Returns why not, fence, owner before, the call, and what is to be placed.
local id, owner, lease, force, bound = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1', tonumber(ARGV[5])
local call, now = read_lease(), now_ms()
local before = call.owner

local function answer(refused, moved)
  return {refused, whole(call.fence), before, kept(call, now, redis.call('GET', DOCUMENT)), moved}
end

local function is_full()
  if bound <= 0 then return bound < 0 end
  local _, live, _, _, _, _, _, claims = unpack(KEYS, INDICES, INDICES + 7)
  local begun = redis.call('ZCOUNT', claims, '(' .. whole(now), '+inf')
  local own = redis.call('ZSCORE', claims, id)
  if own and tonumber(own) > now then begun = begun - 1 end
  return redis.call('ZCARD', live) + begun >= bound
end

if call.known and call.over and (call.settled or force) then
  return answer('ended', placed(id, call.placed, whole(call.lease_until)))
end
if call.lease_until > now and not force and before ~= owner then
  return answer('owned', call.known and placed(id, call.placed, whole(call.lease_until)))
end
if not call.known and is_full() then return answer('full', false) end

if before ~= owner then call.fence, call.owner = call.fence + 1, owner end
call.lease_until = now + lease
local lease_until = whole(call.lease_until)
name_lease(call, id)
redis.call('HSET', LEASE, 'fence', whole(call.fence), 'owner', owner, 'until', lease_until)
if not call.known then redis.call('PEXPIRE', LEASE, lease + 3600000) end
return answer('', placed(id, call.placed, lease_until))
