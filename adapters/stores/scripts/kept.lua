-- ARGV: whether the document is wanted, when the call was active (seconds; `now`; empty: nothing is noted).
local call, now = read_lease(), now_ms()
local at = ARGV[2]
if call.known and at ~= '' then
  if at == 'now' then at = string.format('%.3f', now / 1000) end
  if tonumber(at) > tonumber(call.active) then
    call.active = at
    redis.call('HSET', LEASE, 'active', at)
  end
end
return {kept(call, now, ARGV[1] == '1' and redis.call('GET', DOCUMENT))}
