-- ARGV: id, retention (ms). Returns whether it was not handed over before, and what is to be placed.
local call, now = read_lease(), now_ms()
if not call.known or call.handed_over then return {0, false} end
local status, settled, created, ended = string.match(call.placed, '^(%a+) (%d) %d (%S+) (%S+) ')
if call.over and call.settled then call.expires = expiry(ended, call.active, ARGV[2], now) end
local what = table.concat({status, settled, '1', created, ended, whole(call.expires)}, ' ')
redis.call('HSET', LEASE, 'handed', '1', 'placed', what)
set_expiry(call, now)
return {1, placed(ARGV[1], what, whole(call.lease_until))}
