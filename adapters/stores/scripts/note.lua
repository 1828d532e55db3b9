-- ARGV: id. Places a call as its lease says.
local call = read_lease()
return {placed(ARGV[1], call.claimed and call.placed or 'gone', whole(call.lease_until))}
