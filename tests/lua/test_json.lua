local t = require "test"

t.case("equal values give equal text", function()
  local a, b = {}, {}
  for i = 1, 50 do a["k" .. i] = i end
  for i = 50, 1, -1 do b["k" .. i] = i end
  t.eq(json.encode(a), json.encode(b))
  t.eq(json.encode { b = 1, a = { c = true, B = false } }, '{"a":{"B":false,"c":true},"b":1}')
end)

t.case("arrays, objects and nothing", function()
  t.eq(json.encode {}, "{}")
  t.eq(json.encode(json.array {}), "[]")
  t.eq(json.encode { 1, json.null, "x" }, '[1,null,"x"]')
  t.eq(json.encode(json.null), "null")
  t.eq(json.encode "text", '"text"')
  t.eq(json.encode { a = { 1, { b = json.array {} } } }, '{"a":[1,{"b":[]}]}')
  t.eq(json.encode({ a = { 1 }, b = {} }, { pretty = true }), '{\n  "a": [\n    1\n  ],\n  "b": {}\n}')
end)

t.case("numbers keep their kind", function()
  t.eq(json.encode { 1, 1.0, 0.1, math.maxinteger, math.mininteger },
    "[1,1.0,0.1,9223372036854775807,-9223372036854775808]")
  t.eq(math.type(json.decode "1"), "integer")
  t.eq(math.type(json.decode "1.0"), "float")
  t.eq(json.decode(json.encode(math.mininteger)), math.mininteger)
  t.raises(function() json.encode(0 / 0) end, "not a finite number")
  t.raises(function() json.encode { a = { 1 / 0 } } end, "value.a[1] is not a finite number")
end)

t.case("what is read can be written again", function()
  for _, text in ipairs { "[]", "{}", '{"a":[],"b":{}}', "[[],{},null,true,1.5]", '"\\u0000é\\n"', "null", '[{"x":null}]' } do
    t.eq(json.encode(t.ok(json.decode(text))), text)
  end
  t.eq(json.decode '"\\ud83d\\ude00"', "😀")
  t.eq(json.decode('{"a":null,"b":1}', { drop_null = true }), { b = 1 })
  t.ok(json.decode('{"a":null}').a == json.null)
end)

t.case("what cannot be meant raises and says where", function()
  t.raises(function() json.encode { a = print } end, "value.a is a function")
  t.raises(function() json.encode { 1, nil, 3 } end, "holes")
  t.raises(function() json.encode { 1, a = 2 } end, "both a sequence and names")
  t.raises(function() json.encode { [1.5] = 1 } end, "neither a string nor part of a sequence")
  t.raises(function() json.encode { [100] = 1 } end, "neither a string")
  t.raises(function() json.encode "\xff" end, "not UTF-8")
  t.raises(function() json.encode { ["\xff"] = 1 } end, "key that is not UTF-8")
  local circle = {}
  circle.self = circle
  t.raises(function() json.encode(circle) end, "contains itself")
  t.raises(function() json.encode { token = secret.wrap("hunter22", "x") } end, "value.token is a secret")
end)

t.case("bad text is an error with its place", function()
  local err = t.err(nil, select(2, json.decode '{"a":1,\n"b":}'), "protocol")
  t.has(err.message, "line 2 column 5")
  for _, text in ipairs { "", "{", "[1,]", "1 2", "{'a':1}", '{"a":1,"a":2}', "01", "NaN", "99999999999999999999", '"\\ud800"', "\xff", "nul" } do
    local value, bad = json.decode(text)
    t.err(value, bad, "protocol")
  end
  local value, bad = json.decode(("["):rep(129) .. ("]"):rep(129))
  t.err(value, bad, "limit")
  t.ok(json.decode(("["):rep(128) .. ("]"):rep(128)))
  value, bad = json.decode(("["):rep(100000))
  t.err(value, bad, "protocol")
end)
