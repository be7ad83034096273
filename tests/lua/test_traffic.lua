local core = require "core.traffic"
local net = require "net"
local t = require "test"
local traffic = require "traffic"

t.case("weights are exact", function()
  t.eq(traffic.weights({ blue = 90, green = 10 }, { blue = { "b1" }, green = { "g1" } }), { b1 = 90, g1 = 10 })
  t.eq(traffic.weights({ blue = 100 }, { blue = { "b1", "b2", "b3" }, green = { "g1" } }), { b1 = 100, b2 = 100, b3 = 100, g1 = 0 })
  local w = traffic.weights({ blue = 90, green = 10 }, { blue = { "b1" }, green = { "g1", "g2", "g3" } })
  t.eq(w.b1 * 10, (w.g1 + w.g2 + w.g3) * 90)
  local none, err = traffic.weights({ blue = 99, green = 1 }, { blue = { "b1" }, green = { "g1", "g2", "g3" } })
  t.err(none, err, "limit")
  t.has(err.message, "blue 99 % on 1")
end)

t.case("shares are checked", function()
  local colours = { "blue", "green" }
  t.eq(traffic.check({ green = 100 }, colours), { blue = 0, green = 100 })
  for _, wrong in ipairs { { blue = 50 }, { blue = 50.5, green = 49.5 }, { blue = 101, green = -1 }, { blue = 100, red = 0 }, { blue = "x", green = 100 } } do
    local value, err = traffic.check(wrong, colours)
    t.err(value, err, "usage")
  end
end)

t.case("names cannot carry commands", function()
  for _, name in ipairs { "", "a b", "a;b", "a\nb", "a/b", "blue1; disable server app/blue2", "\0" } do
    local value, err = core.weight("app", name, 1)
    t.err(value, err, "usage")
    value, err = core.state(name, "blue1", "drain")
    t.err(value, err, "usage")
  end
  local value, err = core.state("app", "blue1", "ready;shutdown")
  t.err(value, err, "usage")
  value, err = core.address("app", "blue1", "127.0.0.1 port 1;x", 80)
  t.err(value, err, "usage")
  value, err = core.weight("app", "blue1", 257)
  t.err(value, err, "usage")
  t.eq(core.weight("app", "blue1", 256), "set server app/blue1 weight 256")
  t.eq(core.address("app", "blue1", "::1", 80), "set server app/blue1 addr ::1 port 80")
end)

t.case("a configuration that cannot be meant is refused", function()
  local good = { socket = "/x", backend = "app", servers = { blue = { "b" }, green = { "g" } } }
  local function with(change)
    local config = {}
    for k, v in pairs(good) do config[k] = v end
    for k, v in pairs(change) do config[k] = v end
    return traffic.open(config)
  end
  t.ok(with {})
  for _, change in ipairs { { servers = { blue = { "b" }, green = { "b" } } }, { servers = { blue = {} } }, { servers = {} },
    { servers = { blue = { "b;x" } } }, { backend = "a b" }, { socket = "nowhere" }, { driver = "magic" } } do
    local value, err = with(change)
    t.err(value, err, "config")
  end
  local value, err = traffic.open { driver = "haproxy" }
  t.err(value, err, "config")
end)

-- A proxy of our own that answers from a script: what HAProxy would never say can be said.
local HEADING = "# pxname,svname,scur,qcur,status,weight,bck,check_status,uweight,\n"
local STATES = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_check_state srv_port\n"

local function fake(answer)
  local listener = assert(net.listen())
  local seen, silent = {}, {}
  background(function()
    while true do
      local c = assert(listener:accept(60))
      local line = assert(c:read_line())
      seen[#seen + 1] = line
      local reply = answer(line, #seen)
      if reply then
        c:write(reply)
        c:close()
      else
        silent[#silent + 1] = c
      end
    end
  end)
  local lb = assert(traffic.open { socket = "127.0.0.1:" .. listener.port, backend = "app", timeout = 0.2,
    servers = { blue = { "b" }, green = { "g" } } })
  return lb, seen
end

local function table_of(b, g, more, more_states)
  return HEADING .. ("app,b,0,0,UP,%d,0,,%d,\napp,g,3,1,UP,%d,0,,%d,\n"):format(b, b, g, g) .. (more or "") .. "\n"
    .. STATES .. ("1 app 1 b 127.0.0.1 2 0 %d 0 80\n1 app 2 g 127.0.0.1 2 0 %d 0 81\n"):format(b, g) .. (more_states or "") .. "\n"
end

t.case("a refused command is an error with the proxy's words", function()
  require("task").scope("fake", nil, function()
    local lb = fake(function(line) return line:find "^show" and table_of(100, 0) or "Permission denied\n\n" end)
    local value, err = lb:set { blue = 90, green = 10 }
    t.err(value, err, "traffic")
    t.has(err.message, "Permission denied")
  end)
end)

t.case("a proxy that forgets is found out: recorded against actual", function()
  require("task").scope("fake", nil, function()
    local lb, seen = fake(function(line) return line:find "^show" and table_of(100, 0) or "\n\n" end)
    local value, err = lb:set { blue = 90, green = 10 }
    t.err(value, err, "traffic")
    t.has(err.message, "b 100 instead of 90, g 0 instead of 10")
    t.eq(seen[2], "set server app/g weight 10;set server app/b weight 90", "raises before it lowers")
  end)
end)

t.case("a lost answer is tried again", function()
  require("task").scope("fake", nil, function()
    local b, g = 100, 0
    local lb = fake(function(line, n)
      if line:find "^show" then return table_of(b, g) end
      b, g = 90, 10
      return n > 2 and "\n\n" or nil
    end)
    local now = t.ok(lb:set { blue = 90, green = 10 })
    t.eq({ now.blue, now.green, now.exact }, { 90, 10, true })
  end)
end)

t.case("a server that belongs to no colour, nonsense, and silence", function()
  require("task").scope("fake", nil, function()
    local value, err = fake(function() return table_of(100, 0, "app,other,0,0,UP,5,0,,5,\n", "1 app 3 other 127.0.0.1 2 0 5 0 82\n") end):get()
    t.err(value, err, "traffic")
    t.has(err.message, "app/other has weight 5")
    value, err = fake(function() return table_of(100, 0, "app,other,0,0,UP,5,0,,5,\n") end):get()
    t.err(value, err, "traffic")
    t.has(err.message, "weight and state of app/other")
    value, err = fake(function() return "No such proxy.\n\n" end):get()
    t.err(value, err, "traffic")
    t.has(err.message, "No such proxy")
    value, err = fake(function() return nil end):get()
    t.err(value, err, "timeout")
    value, err = fake(function() return HEADING .. "app,b,x,0,UP,1,0,,1,\n\n" .. STATES end):get()
    t.err(value, err, "traffic")
    t.has(err.message, "no whole number")
  end)
end)

t.case("rounded shares never claim 0 or 100", function()
  require("task").scope("fake", nil, function()
    local now = fake(function() return table_of(256, 1) end):get()
    t.eq({ now.blue, now.green, now.exact }, { 99, 1, false })
    now = fake(function() return table_of(0, 0) end):get()
    t.eq({ now.blue, now.green }, { 0, 0 })
  end)
end)

t.case("draining tells what is still open at its deadline; the last colour is not taken out", function()
  require("task").scope("fake", nil, function()
    local states = (table_of(100, 0):gsub("g 127.0.0.1 2 0", "g 127.0.0.1 2 8"))
    local lb = fake(function(line) return line:find "^show" and states or "\n" end)
    local value, err = lb:drain("green", 0.2)
    t.err(value, err, "drain")
    t.has(err.message, "g 3 open, 1 queued")
    value, err = lb:drain("blue", 1)
    t.err(value, err, "traffic")
    value, err = lb:maintenance "blue"
    t.err(value, err, "traffic")
  end)
end)
