local t = require "test"

t.case("time passes and prints", function()
  local began = clock.now()
  sleep(0.01)
  t.ok(clock.now() - began >= 0.01)
  t.eq(clock.utc(0), "1970-01-01T00:00:00.000Z")
  t.eq(clock.utc(1795461181.123), "2026-11-23T19:13:01.123Z")
  t.ok(clock.utc():match "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$")
  t.ok(clock.wall() > 1.7e9)
  t.raises(function() clock.utc(-1) end, "not a time")
end)

t.case("random values differ and stay within their bounds", function()
  t.ok(random.hex(16) ~= random.hex(16))
  t.eq(#random.hex(1024), 2048)
  local seen = {}
  for _ = 1, 500 do seen[random.integer(-1, 1)] = true end
  t.eq(seen, { [-1] = true, [0] = true, [1] = true })
  t.eq(random.integer(5, 5), 5)
  t.eq(math.type(random.integer(math.mininteger, math.maxinteger)), "integer")
  t.raises(function() random.integer(2, 1) end, "less than the first")
  t.raises(function() random.hex(0) end, "between 1 and 1024")
end)
