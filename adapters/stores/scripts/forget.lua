-- ARGV: id, `always` or `expired`. Returns whether it was kept (`expired`: is not kept any more), and what is to be placed.
local call = read_lease()
if ARGV[2] == 'expired' and call.claimed and (call.expires == 0 or call.expires > now_ms()) then
  return {0, placed(ARGV[1], call.placed, whole(call.lease_until))}
end
redis.call('DEL', DOCUMENT, LOG, LEASE)
return {(call.known or ARGV[2] == 'expired') and 1 or 0, placed(ARGV[1], 'gone', '0')}
