-- The parser against Lua itself: what one refuses the other refuses, in the same line.
local t = require "test"
local parser = require "check.parser"
local scope = require "check.scope"
local source = require "check.source"

local function accept(text)
  local tree, err = parser.parse(text)
  if not tree then return nil, err end
  local names
  names, err = scope.resolve(tree)
  return names and tree, err
end

local function lua_files(folder, out)
  for _, name in ipairs(assert(files.list(folder))) do
    local path = folder .. "/" .. name
    if assert(files.stat(path)).type == "directory" then
      if name ~= "bad" then lua_files(path, out) end
    elseif name:find "%.lua$" then
      out[#out + 1] = path
    end
  end
  return out
end

t.case("every file of the repository is accepted", function()
  local count = 0
  for _, folder in ipairs { "stdlib", "playbooks", "tests", "tools" } do
    for _, path in ipairs(lua_files(folder, {})) do
      local tree, err = accept(assert(files.read(path)))
      if not tree then
        local line, column = source.new(path, assert(files.read(path))):position(err.at)
        t.ok(false, ("%s:%d:%d: %s"):format(path, line, column, err.message))
      end
      count = count + 1
    end
  end
  t.ok(count > 80, count .. " files only")
end)

local GOOD = {
  "", ";", ";;;", "return", "return;", "return 1, 2;", "local a <const>, b <close> = 1, nil", "goto done do end ::done::",
  "local x = 1 // 2 ~ 3 & 4 | ~5 << 6 >> 7", "local s = [==[ a ]] b ]=] ]==]", "--[[ long\ncomment ]] return 1", "--[==[ ]] ]==]\nreturn",
  "return '\\x41\\65\\u{20AC}\\z   \n  b\\\n c', \"\\'\\\"\\\\\\a\\b\\f\\n\\r\\t\\v\\0\"", "return 0x1p4, 0xA.8p-1, .5, 3., 1e10, 0xffffffffffffffff, 9223372036854775808",
  "for i = 1, 2, 3 do break end", "for a, b, c in next, {} do goto continue ::continue:: end", "repeat local x = 1 until x", "while true do break end",
  "function a.b.c:d(...) return ..., self end", "local function f() return f end", "a, b.c, d[1] = 1, 2", "f{} f'' f[[x]] (f)() a.b:c'd'.e = 1",
  "return {1, 2; 3, a = 1, [1 + 1] = 2, f(), ...}", "return -x ^ 2, not a == b, #t .. 'x' .. 1, - - 1", "return function() end",
  "do goto a ::a:: end do ::a:: end", "::a:: do goto a end", "goto a; local x ::a::", "goto a; local x ::a:: ;;", "return a.b.c[d](e){f}'g'", "local a <const> = 1 return a",
  "if a then elseif b then else end", "return (...)", "return a<b, a<=b, a~=b, 2^3^4", "\t\r\n\f\v return 1", "local goto1 = 1", "return 1--x", "return 5 // 0.0", "local t = {['a']=1,}",
}

t.case("the whole language is accepted", function()
  for _, text in ipairs(GOOD) do
    t.ok(load(text), "Lua refuses " .. text)
    local tree, err = accept(text)
    t.ok(tree, text .. ": " .. tostring(err))
  end
end)

local BAD = {
  "x", "x =", "local", "local 1", "local a b", "f(", "f(1", "f(1,)", "a.b", "a.1", "a:b", "a:b = 1", "f() = 1", "(a) = 1", "a, f() = 1", "1 = a", "x = = 1",
  "if", "if a", "if a then", "if a = 1 then end", "if a then else if b then end", "while a", "while a do", "for", "for a", "for a =", "for a = 1 do end", "for a.b = 1, 2 do end",
  "for a in do end", "repeat", "repeat until", "function", "function f", "function f(", "function f(a,) end", "function f(..., a) end", "function f.1() end", "function f:a.b() end",
  "return return", "return 1 2", "return 1\nx = 1", "do return 1; x = 1 end", "end", "do", "do end end", "until", "else", "elseif", "then", "in",
  "break", "do break end", "function f() break end", "goto", "goto a", "goto a do ::a:: end", "::a", "::a:: ::a::", "::a:: do ::a:: end", "goto a; local x ::a:: print(x)",
  "do goto a end local x ::a:: f()", "repeat goto a; local x ::a:: until x", "function f() goto a end ::a::",
  "local a <const> = 1 a = 2", "local a <const> = 1 function a() end", "local a <const> = 1 function f() a = 2 end", "local a <close> a = 1", "local a <foo> = 1", "local a <close>, b <close>", "local a <", "local a <const",
  "function f() return ... end", "x = '", "x = 'a\nb'", "x = \"a", "x = [[a", "x = [=a", "x = [==", "--[[ a", "x = '\\q'", "x = '\\300'", "x = '\\x1'", "x = '\\u{110000000}'", "x = '\\u{'", "x = '\\u41'",
  "x = 1..2", "x = 3x", "x = 0x", "x = 1e", "x = 0x1p", "x = 1.2.3", "x = 08z", "x = @", "x = $", "x = a ! b", "x != 1", "x += 1", "x++", "x = a && b", "x = a || b", "x = a ? b : c", "x = \194\160",
  "{", "}", "x = {", "x = {1 2}", "x = {\n a = 1\n b = 2\n}", "x = {a = }", "x = {[1] 2}", "x = {[1 = 2}", "x = (1", "x = )", "x = a[", "x = a[]", "x = a.", "x = #", "x = not", "x = 1 +", "x = .. 1", "x = function", "x = function() ", "x = ...  y", "local function", "local function a.b() end", "#!/bin/lua\nreturn 1",
  "f\n(", "x = ~= 1", "x = a.b.", "x = 'a' 'b' 1", "\27Lua", "x = ]]", "local function f() end end", "and", "x = or 1", "nil = 1", "true()", "'a'()", "{}()", "...", "x, y", "x, = 1", ", = 1",
  ("("):rep(300) .. "1" .. (")"):rep(300), ("do "):rep(300) .. ("end "):rep(300), "return " .. ("{"):rep(300),
}

t.case("what Lua refuses is refused, in the same line", function()
  for _, text in ipairs(BAD) do
    local shown = text:sub(1, 60)
    local chunk, message = load(text, "=x")
    t.ok(not chunk, "Lua accepts " .. shown)
    local tree, err = accept(text)
    if t.ok(not tree, "accepted: " .. shown) then
      local line = source.new("x", text):position(err.at)
      if not chunk and not text:find "^.%[" and #text < 200 then
        local theirs = tonumber(message:match "^x:(%d+):")
        -- Where something was not closed Lua names the end of the file, and we the beginning of it.
        if not message:find "unfinished" and not message:find "binary" then t.eq(line, theirs, shown .. " | " .. message .. " | " .. err.message) end
      end
      t.ok(type(err.fix) == "string" and err.fix ~= "", "no advice: " .. shown)
      t.eq(err.code, "playbook")
    end
  end
end)

t.case("cutting a file anywhere gives the same answer as Lua", function()
  local text = assert(files.read "playbooks/stage30/blue_green.lua")
  for cut = 1, #text, 41 do
    local part = text:sub(1, cut)
    t.eq(accept(part) ~= nil, load(part, "=x") ~= nil, "cut at " .. cut)
  end
end)

t.case("removing one token gives the same answer as Lua", function()
  local text = assert(files.read "stdlib/schema.lua")
  local tokens = assert(require("check.lexer").tokens(text))
  for index = 1, #tokens - 1, 5 do
    local token = tokens[index]
    local part = text:sub(1, token.at - 1) .. text:sub(token.to + 1)
    t.eq(accept(part) ~= nil, load(part, "=x") ~= nil, ("without the token at %d"):format(token.at))
  end
end)

t.case("nodes know where they stand", function()
  local text = "local a = 1\nreturn traffic.set { x = 'é', b = a }\n"
  local tree = t.ok(accept(text))
  local here = source.new("x.lua", text)
  local call = tree.statements[2].values[1]
  t.eq({ here:position(call.at) }, { 2, 8 })
  t.eq(text:sub(call.fn.key.at, call.fn.key.to), "set")
  local second = call.args[1].fields[2]
  t.eq(text:sub(second.at, second.to), "b = a")
  t.eq({ here:position(second.at) }, { 2, 31 }, "columns count characters")
  local line, carets = here:excerpt(second.at, second.to)
  t.eq({ line, carets }, { "return traffic.set { x = 'é', b = a }", (" "):rep(30) .. "^^^^^" })
end)

t.case("strings and numbers have their values", function()
  local values = parser.parse("return 'a\\x41\\u{20AC}\\z \n b\\\nc', [[\nx\r\ny]], 0x10, 1e2, 7 // 2").statements[1].values
  t.eq({ values[1].value, values[2].value, values[3].value, values[4].value, values[5].operator }, { "aA€b\nc", "x\ny", 16, 100.0, "//" })
  t.eq(parser.parse("return 1 + 2 * 3 ^ 4 ^ 5 .. 'x'").statements[1].values[1].operator, "..")
end)
