--- papers.svg: the elements of a drawing. Pure.

local escape = require("papers.escape").html

local M = {}

--- An element with its attributes in their order, { name, value, ... }; numbers that are no integers have one decimal place.
---@param name string
---@param attributes any[]
---@param content? string what it holds, already as it stands in the document
---@return string
---@usage assert(require("papers.svg").tag("g", { "class", "a<b" }, "x") == '<g class="a&lt;b">x</g>')
function M.tag(name, attributes, content)
  local parts = { "<", name }
  for i = 1, #attributes, 2 do
    local value = attributes[i + 1]
    local shown = math.type(value) == "float" and ("%.1f"):format(value) or math.type(value) == "integer" and value or escape(value)
    parts[#parts + 1] = (' %s="%s"'):format(attributes[i], shown)
  end
  parts[#parts + 1] = content and (">%s</%s>"):format(content, name) or "/>"
  return table.concat(parts)
end

--- A line of text.
---@param class string
---@param x number
---@param y number
---@param anchor "start"|"middle"|"end"
---@param content string
---@return string
---@usage assert(require("papers.svg").text("tick", 1, 2, "end", "<") == '<text class="tick" x="1.0" y="2.0" text-anchor="end">&lt;</text>')
function M.text(class, x, y, anchor, content) return M.tag("text", { "class", class, "x", x + 0.0, "y", y + 0.0, "text-anchor", anchor }, escape(content)) end

--- A straight line.
---@param class string
---@param x1 number
---@param y1 number
---@param x2 number
---@param y2 number
---@param title? string what it says when it is pointed at
---@return string
---@usage assert(require("papers.svg").line("axis", 0, 1, 2, 1) == '<line class="axis" x1="0.0" y1="1.0" x2="2.0" y2="1.0"/>')
function M.line(class, x1, y1, x2, y2, title)
  return M.tag("line", { "class", class, "x1", x1 + 0.0, "y1", y1 + 0.0, "x2", x2 + 0.0, "y2", y2 + 0.0 }, title and M.tag("title", {}, escape(title)))
end

return M
