-- Stands before every script. KEYS of a call: its document, its log, its lease; they share a slot. A server that has
-- every slot is given the indices too, right behind; of a cluster's, the client keeps them, as the reply tells it.
local DOCUMENT, LOG, LEASE, INDICES = KEYS[1], KEYS[2], KEYS[3], 4

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function whole(number)
  return string.format('%.0f', number)
end

-- Note where a call belongs. `what`: "<status> <settled> <handed over> <created at> <ended at> <expires, ms>", or
-- `claimed`, or `gone`. `new`: no index has it yet. All of it is a hint: whoever reads an index looks at the lease too.
local function place(first, id, what, lease_until, new)
  local calls, live, initiated, failed, owed, undelivered, done, claims = unpack(KEYS, first, first + 7)
  local status, settled, handed, created, ended, expires = string.match(what, '^(%a+) (%d) (%d) (%S+) (%S+) (%d+)$')
  local function keep(wanted, key, score)
    if wanted then redis.call('ZADD', key, score, id) elseif not new then redis.call('ZREM', key, id) end
  end
  local over = status == 'ended' or status == 'error'
  keep(status, calls, created)
  keep(status and not over, live, created)
  keep(status == 'initiated', initiated, created)
  keep(status == 'error', failed, created)
  keep(over and handed == '0', undelivered, ended)
  keep(expires and expires ~= '0', done, expires)
  keep(status and expires == '0', owed, lease_until)
  keep(what == 'claimed', claims, lease_until)
end

-- Place a call now, or tell the client to. An index that is not ours undoes nothing of the call: the client tells of it.
local function placed(id, what, lease_until, new)
  if KEYS[INDICES] and pcall(place, INDICES, id, what, lease_until, new) then return false end
  return {id, what, lease_until}
end

-- Read where a call was placed when it was written last.
local function read_place(call)
  local status, settled, handed, _, _, expires = string.match(call.placed, '^(%a+) (%d) (%d) (%S+) (%S+) (%d+)$')
  call.over, call.settled = status == 'ended' or status == 'error', settled == '1'
  call.handed_over, call.expires = handed == '1', tonumber(expires or 0)
  return call
end

-- What the lease says, but for its place. Where the server has lost it, the log tells version and fence.
local function read_call()
  local said = redis.call('HMGET', LEASE, 'fence', 'owner', 'until', 'version', 'head', 'active', 'handed', 'placed', 'runs')
  local call = {
    known = said[4] and true, claimed = said[1] and true,
    fence = tonumber(said[1] or 0), owner = said[2] or '', lease_until = tonumber(said[3] or 0),
    version = tonumber(said[4] or 0), head = said[5], active = said[6] or '0', handed = said[7] == '1',
    placed = said[8] or 'claimed', runs = said[9] or '',
  }
  if not call.known then
    local last = redis.call('XREVRANGE', LOG, '+', '-', 'COUNT', 1)[1]
    if last then
      local fence, version = string.match(last[1], '^(%d+)%-(%d+)$')
      call.fence, call.version = math.max(call.fence, tonumber(fence)), tonumber(version)
    end
  end
  return call
end

local function read_lease()
  return read_place(read_call())
end

-- Let everything of a call that is done go when its time has come, and nothing of one that is not.
local function set_expiry(call, now)
  if call.expires > 0 then
    local at = whole(math.max(call.expires, now + 60000))
    redis.call('PEXPIREAT', DOCUMENT, at)
    redis.call('PEXPIREAT', LOG, at)
    redis.call('PEXPIREAT', LEASE, at)
  end
end

-- Write in a lease that is about to begin whose it is: its key tells a prefix and an id, but not where one ends.
local function name_lease(call, id)
  if not call.claimed then redis.call('HSET', LEASE, 'id', id) end
end

-- When a call that is done may be forgotten, by the earlier of its own clock and ours.
local function expiry(ended, active, retention, now)
  local at = tonumber(ended)
  if at == 0 then at = tonumber(active) end
  return math.max(1, math.floor(math.min(at * 1000, now) + tonumber(retention)))
end

local function kept(call, now, document)
  if not call.known then return false end
  return {document or false, call.head, whole(call.version), whole(call.fence), call.owner,
    whole(call.lease_until - now), call.active, call.handed and 1 or 0}
end
