-- Run by lua5.4, which has the hook that the engine's sandbox lacks: which lines of a program are executed, as Lua itself sees it.
-- lua5.4 executed_lines.lua FOLDER COUNT: for FOLDER/1.lua ... writes 1.executed and 1.active: the lines that ran, and all the lines with
-- code of the functions that were called. P, which prints, does nothing here.

local folder, count = arg[1], tonumber(arg[2])

local function write(path, set)
  local lines = {}
  for line in pairs(set) do lines[#lines + 1] = line end
  table.sort(lines)
  local file = assert(io.open(path, "w"))
  file:write(table.concat(lines, " "), "\n")
  file:close()
end

for index = 1, count do
  local path = ("%s/%d"):format(folder, index)
  local chunk = assert(loadfile(path .. ".lua", "t", { P = function() end, ipairs = ipairs, pcall = pcall, error = error }))
  local executed, active = {}, {}
  debug.sethook(function(event, line)
    local info = debug.getinfo(2, "SL")
    if info.source ~= "@" .. path .. ".lua" then return end
    if event == "line" then
      executed[line] = true
    else
      for each in pairs(info.activelines) do active[each] = true end
    end
  end, "lc")
  pcall(chunk)
  debug.sethook()
  write(path .. ".executed", executed)
  write(path .. ".active", active)
end
