-- KEYS: the indices. ARGV: id, what, until; any number of times.
for at = 1, #ARGV, 3 do
  place(1, ARGV[at], ARGV[at + 1], ARGV[at + 2])
end
return 1
