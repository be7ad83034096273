-- Every `---@usage` line of the library is run as it stands, as a chunk of its own: what the manual
-- shows works.
local t = require "test"
local search = require "core.search"

local function usages(path)
  local out, number = {}, 0
  for line in (t.ok(files.read(path)) .. "\n"):gmatch "(.-)\n" do
    number = number + 1
    local text = line:match "^%s*%-%-%-@usage%s+(.+)$"
    if text then out[#out + 1] = { where = ("%s:%d"):format(path, number), text = text } end
  end
  return out
end

local function lua_files(folder, out)
  for _, entry in ipairs(assert(files.list(folder))) do
    local path = folder .. "/" .. (type(entry) == "table" and entry.name or entry)
    if assert(files.stat(path)).type == "directory" then
      lua_files(path, out)
    elseif path:find "%.lua$" then
      out[#out + 1] = path
    end
  end
  return out
end

for _, path in ipairs(lua_files("stdlib", {})) do
  for _, usage in ipairs(usages(path)) do
    t.case(usage.where, function()
      local chunk, err = search.load_text(usage.text, "usage of " .. usage.where)
      if t.ok(chunk, err) then chunk() end
    end)
  end
end
