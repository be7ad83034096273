--- papers.markdown: a document (see papers.report) as Markdown, the twin of its HTML. Pure.

local escape = require "papers.escape"

local M = {}

local function value_text(value)
  if type(value) ~= "table" then return escape.markdown(value == nil and "" or value) end
  local text = value.code and escape.markdown_code(value.text) or value.href and "<" .. value.href:gsub("[<>%s]", "") .. ">" or escape.markdown(value.text)
  return ("&nbsp;"):rep(2 * (value.depth or 0)) .. text
end

local function row_text(cells, n)
  local out = {}
  for i = 1, n do out[i] = value_text(cells[i]) end
  return "| " .. table.concat(out, " | ") .. " |"
end

local function table_lines(out, headings, rows)
  if #rows == 0 then return end
  out[#out + 1] = row_text(headings, #headings)
  out[#out + 1] = "|" .. (" --- |"):rep(#headings)
  for _, row in ipairs(rows) do out[#out + 1] = row_text(row, #headings) end
  out[#out + 1] = ""
end

local blocks = {}

function blocks.heading(out, block)
  out[#out + 1] = "### " .. escape.markdown(block.text)
  out[#out + 1] = ""
end

function blocks.text(out, block)
  out[#out + 1] = escape.markdown_line(block.text)
  out[#out + 1] = ""
end

function blocks.facts(out, block) table_lines(out, { "what", "" }, block.rows) end

function blocks.list(out, block)
  for _, item in ipairs(block.items) do out[#out + 1] = "- " .. escape.markdown_line(item) end
  out[#out + 1] = ""
end

function blocks.commands(out, block)
  for _, line in ipairs(block.lines) do out[#out + 1] = "    " .. (escape.visible(line):gsub("%s+", " ")) end
  out[#out + 1] = ""
end

blocks["table"] = function(out, block)
  if block.fold then blocks.text(out, { text = block.fold .. ":" }) end
  table_lines(out, block.headings, block.rows)
end

function blocks.chart(out, block)
  blocks.heading(out, { text = block.heading })
  if block.note then blocks.text(out, { text = block.note }) end
  table_lines(out, block.headings, block.rows)
end

--- Writes a document down.
---@param document table
---@return string
---@usage assert(require("papers.markdown").of { title = "T", outcome = { word = "Done", text = "" }, keys = {}, sections = {}, made = "now" }:find "^# T")
function M.of(document)
  local out = { "# " .. escape.markdown(document.title), "", ("> **%s.** %s"):format(escape.markdown(document.outcome.word), escape.markdown(document.outcome.text)), "" }
  table_lines(out, { "in short", "" }, document.keys)
  for _, section in ipairs(document.sections) do
    out[#out + 1] = "## " .. escape.markdown(section.title)
    out[#out + 1] = ""
    for _, block in ipairs(section.blocks) do blocks[block.kind](out, block) end
  end
  out[#out + 1] = escape.markdown_line(document.made)
  return table.concat(out, "\n") .. "\n"
end

return M
