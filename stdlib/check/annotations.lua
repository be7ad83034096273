--- check.annotations: the doc comments of a library file: its opening words, and each public function with its block.
--
-- The reference pages and the checker both read the library through this, so that what is documented is what is checked.

local M = {}

--- Reads the doc comments of a source.
---@param text string
---@return string[] opening the comment at the top
---@return { name: string, arguments: string, lines: string[] }[] functions as written: name "M.open", arguments "(config)", lines without dashes
---@usage local _, found = require("check.annotations").read "--- x: y\n\n--- Doubles.\nfunction M.twice(n) end"  assert(found[1].name == "M.twice")
function M.read(text)
  local opening, functions, block = {}, {}, {}
  local in_opening = true
  for line in (text .. "\n"):gmatch "(.-)\n" do
    local comment = line:match "^%-%-%-? ?(.*)$"
    if in_opening and comment and line:sub(1, 2) == "--" then
      opening[#opening + 1] = comment
    else
      in_opening = false
      if comment and (line:sub(1, 3) == "---" or #block > 0) then
        block[#block + 1] = comment
      else
        local name, arguments = line:match "^function ([%w_]+[.:][%w_.:]+)(%b())"
        if name and #block > 0 then functions[#functions + 1] = { name = name, arguments = arguments, lines = block } end
        block = {}
      end
    end
  end
  return opening, functions
end

--- The parameters that a block describes.
---@param lines string[]
---@return table<string, { type: table, optional: boolean }> parameters types as check.types reads them
---@usage local p = require("check.annotations").parameters { "@param n? integer bytes" }  assert(p.n.optional and p.n.type.kind == "integer")
function M.parameters(lines)
  local types = require "check.types"
  local found = {}
  for _, line in ipairs(lines) do
    local name, mark, rest = line:match "^@param%s+([%w_.]+)(%??)%s+(.*)$"
    if name then found[name] = { type = types.parse(rest), optional = mark == "?" } end
  end
  return found
end

return M
