--- traffic.about: what a change of the proxy would be, for the console: in words, and as Lua of a playbook. A function for each method that
-- changes something; see effect.about.

local traffic = require "traffic"

-- What setting shares changes: those that lose some first.
local function about_set(lb, shares)
  local wanted, err = traffic.check(shares, lb.colours)
  if not wanted then return nil, err end
  local ok, now
  ok, err = lb:plan(shares)
  if not ok then return nil, err end
  now, err = lb:get()
  if not now then return nil, err end
  local order, before, parts = {}, {}, {}
  for i, colour in ipairs(lb.colours) do order[i], before[colour] = colour, now[colour] end
  table.sort(order, function(a, b)
    local of_a, of_b = wanted[a] - now[a], wanted[b] - now[b]
    if of_a == of_b then return a < b end
    return of_a < of_b
  end)
  for i, colour in ipairs(order) do parts[i] = ("%s %d -> %d"):format(colour, now[colour], wanted[colour]) end
  local same = wanted[order[1]] == now[order[1]]
  local function code(of) return ("{ %s }"):format(traffic.text(of, lb.colours):gsub(" (%d+) %%", " = %1")) end
  return {
    plan = same and traffic.text(now, lb.colours) .. " as it is already" or table.concat(parts, ", "), undo = ("traffic.set{%s=%d}"):format(order[1], now[order[1]]), class = "probed", args = wanted, verified = "read back from the proxy", all_to = wanted[order[#order]] == 100 and order[#order] or nil,
    code = { needs = "proxy", run = ("expect(proxy:set %s)"):format(code(wanted)), undo = ("expect(proxy:set %s)"):format(code(before)),
      probe = ("probe.stands_at(proxy, %s, %s)"):format(code(wanted), code(before)) },
  }
end

-- What the other methods change of a colour.
local function about_colour(method, what, back)
  return function(lb, colour)
    local known = false
    for _, name in ipairs(lb.colours) do known = known or name == colour end
    if not known then return traffic.fail("usage", ("there is no colour %s"):format(tostring(colour))) end
    return { plan = ("%s %s"):format(colour, what), undo = ("traffic.%s(%q)"):format(back, colour), class = "probed", args = { colour = colour },
      code = { needs = "proxy", run = ("expect(proxy:%s %q)"):format(method, colour), undo = ("expect(proxy:%s %q)"):format(back, colour),
        probe = ("probe.is_out(proxy, %q, %s)"):format(colour, tostring(method ~= "ready")) } }
  end
end

return {
  set = about_set,
  ready = about_colour("ready", "may get requests, as much as its weights say", "drain"),
  drain = about_colour("drain", "gets no new requests; the last ones are waited for", "ready"),
  maintenance = about_colour("maintenance", "is out of the proxy", "ready"),
  address = function(_, colour, index, host, port)
    return { plan = ("server %s of %s is at %s:%s"):format(tostring(index), tostring(colour), tostring(host), tostring(port)), class = "idempotent" }
  end,
}
