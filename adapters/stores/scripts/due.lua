-- KEYS: an index whose scores are times. ARGV: how many at most. Returns the ids whose time has come.
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', whole(now_ms()), 'LIMIT', 0, ARGV[1])
