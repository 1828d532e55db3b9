-- ARGV: id, owner, fence, first, rebase, document, head, status, settled, handed over, created, active, ended (seconds),
-- time to live and retention (ms), entries. Returns the verdict, version, fence, and what is to be placed.
local id, owner, fence, first = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local status, settled, handed, created, active, ended = unpack(ARGV, 8, 13)
local BEFORE = 15
local count = #ARGV - BEFORE
local call = read_call()

local function outcome(verdict, moved)
  return {verdict, whole(call.version), whole(call.fence), moved}
end

if fence < call.fence or (fence == call.fence and call.owner ~= '' and owner ~= call.owner) then
  return outcome('fenced', false)
end
local there = call.version + 1 - first
if there < 0 and ARGV[5] == '0' then return outcome('gap', false) end
if there > 0 and there >= count then return outcome('repeated', false) end
there = math.max(there, 0)

-- The first write of each path is one that a server without memory refuses: then nothing has been written.
for entry = there + 1, count do
  redis.call('XADD', LOG, ARGV[3] .. '-' .. whole(first + entry - 1), 'r', ARGV[BEFORE + entry])
end
local same_run = count == there or tonumber(string.match(call.runs, '(%d+):%d+$')) == fence
if not same_run then call.runs = call.runs .. ' ' .. ARGV[3] .. ':' .. whole(first + there) end
if tonumber(call.active) > tonumber(active) then active = call.active end

local over = status == 'ended' or status == 'error'
local stays = not over and call.placed == table.concat({status, settled, handed, created, ended, '0'}, ' ')
if stays and same_run and fence == call.fence and owner == call.owner then
  -- A live call where it was, whose it was: so are most commits, and this is all that there is to write.
  call.version = first + count - 1
  redis.call('HSET', LEASE, 'version', whole(call.version), 'head', ARGV[7], 'active', active)
  redis.call('SET', DOCUMENT, ARGV[6], 'PX', ARGV[14])
  return outcome('applied', false)
end
read_place(call)
local began, expired_before = not call.known, call.expires
local new = began and not call.claimed and call.version == 0
local now = 0
if began or over or fence > call.fence then now = now_ms() end
if fence > call.fence or not call.claimed then call.lease_until = now end
if settled == '1' then call.lease_until = math.min(call.lease_until, now) end
if call.handed then handed = '1' end
call.version, call.fence, call.expires = first + count - 1, fence, 0
if over and settled == '1' and handed == '1' then call.expires = expiry(ended, active, ARGV[15], now) end

local what = table.concat({status, settled, handed, created, ended, whole(call.expires)}, ' ')
local lease_until = whole(call.lease_until)
redis.call('HSET', LEASE, 'fence', ARGV[3], 'owner', owner, 'until', lease_until, 'version', whole(call.version),
  'head', ARGV[7], 'active', active, 'placed', what, 'runs', call.runs, 'id', id)
redis.call('SET', DOCUMENT, ARGV[6], 'PX', over and ARGV[15] or ARGV[14])
if (began and not new) or expired_before > 0 then
  redis.call('PERSIST', LEASE)
  redis.call('PERSIST', LOG)
end
set_expiry(call, now)
return outcome('applied', (what ~= call.placed or now > 0) and placed(id, what, lease_until, new))
