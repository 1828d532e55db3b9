-- ARGV: id. Places a call as its lease says; one that is of another prefix, which begins with ours, is left alone.
local call = read_lease()
local name = redis.call('HGET', LEASE, 'id')
if name and name ~= ARGV[1] then return {false} end
return {placed(ARGV[1], call.claimed and call.placed or 'gone', whole(call.lease_until))}
