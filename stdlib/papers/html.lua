--- papers.html: a document (see papers.report) as one HTML file: no script, nothing from elsewhere, and well-formed XML, so that any parser
-- reads it. Pure.

local chart = require "papers.chart"
local escape = require("papers.escape").html
local style = require "papers.style"

local M = {}

-- Each chart is drawn for a screen and for a phone; the style shows one of them.
local WIDE, NARROW = 860, 380

-- Whatever a journal may hold, a browser that reads this page loads and runs nothing.
local POLICY = "default-src 'none'; style-src 'unsafe-inline'"

local GLYPHS = { good = "✓", bad = "✗", back = "↩", open = "○" }

local function element(name, class, content) return class and ('<%s class="%s">%s</%s>'):format(name, class, content, name) or ("<%s>%s</%s>"):format(name, content, name) end

-- A number stays with its unit.
local function prose(text) return (escape(text):gsub("(%d) (%%)", "%1\u{A0}%2"):gsub("(%d) (m?s)%f[%W]", "%1\u{A0}%2")) end

local function value_html(value)
  if type(value) ~= "table" then return prose(value == nil and "" or value) end
  local text = value.code and escape(value.text) or prose(value.text)
  if value.code then text = element("code", nil, text)
  elseif value.href and value.href:find "^https?://" then text = ('<a href="%s" rel="noreferrer noopener">%s</a>'):format(escape(value.href), text) end
  if value.tone then text = element("span", "tone " .. value.tone, ('<span aria-hidden="true">%s</span> %s'):format(GLYPHS[value.tone], text)) end
  if (value.depth or 0) > 0 then text = ('<span class="deep" style="padding-left:%dem">%s</span>'):format(value.depth, text) end
  return text
end

local function is_number(value) return type(value) == "number" end

-- On a phone each row is a card, whose lines have the headings as labels.
local function table_html(block)
  if #block.rows == 0 then return "" end
  local head, body = {}, {}
  for i, heading in ipairs(block.headings) do head[i] = ('<th scope="col">%s</th>'):format(value_html(heading)) end
  for r, row in ipairs(block.rows) do
    local cells = {}
    for i, heading in ipairs(block.headings) do
      local content = value_html(row[i])
      if block.wide and i == 1 then cells[i] = ('<th scope="row">%s</th>'):format(content)
      else cells[i] = ('<td data-label="%s"%s>%s</td>'):format(escape(type(heading) == "table" and heading.text or heading), is_number(row[i]) and ' class="n"' or "", content) end
    end
    body[r] = element("tr", nil, table.concat(cells))
  end
  local columns = {}
  for i, width in ipairs(block.widths or {}) do columns[i] = ('<col style="width:%d%%"/>'):format(width) end
  return ('<div class="scroll"><table%s>%s<thead><tr>%s</tr></thead><tbody>%s</tbody></table></div>'):format(block.wide and ' class="wide"' or "",
    columns[1] and element("colgroup", nil, table.concat(columns)) or "", table.concat(head), table.concat(body, "\n"))
end

local function folded(fold, content)
  if not fold or content == "" then return content end
  return ("<details><summary>%s</summary>%s</details>"):format(escape(fold), content)
end

local blocks = {}

function blocks.heading(block) return element("h3", nil, escape(block.text)) end

function blocks.text(block) return element("p", block.quiet and "quiet" or nil, prose(block.text)) end

function blocks.facts(block)
  local out = {}
  for i, row in ipairs(block.rows) do out[i] = ("<div><dt>%s</dt><dd>%s</dd></div>"):format(value_html(row[1]), value_html(row[2])) end
  return element("dl", block.dense and "facts dense" or "facts", table.concat(out))
end

function blocks.list(block)
  local out = {}
  for i, item in ipairs(block.items) do out[i] = element("li", nil, prose(item)) end
  return element("ul", nil, table.concat(out))
end

function blocks.commands(block)
  local out = {}
  for i, line in ipairs(block.lines) do out[i] = escape(line) end
  return element("pre", nil, element("code", nil, table.concat(out, "\n")))
end

blocks["table"] = function(block) return folded(block.fold, table_html(block)) end

function blocks.chart(block, id)
  local out = { element("h3", nil, escape(block.heading)) }
  if block.spec then
    out[#out + 1] = ("<figure>%s%s%s</figure>"):format(chart.svg(block.spec, { width = WIDE, id = id .. "-wide", class = "chart for-wide" }),
      chart.svg(block.spec, { width = NARROW, id = id .. "-narrow", class = "chart for-narrow" }), block.note and element("figcaption", nil, prose(block.note)) or "")
  elseif block.note then
    out[#out + 1] = element("p", nil, prose(block.note))
  end
  out[#out + 1] = folded(block.fold, table_html(block))
  return element("div", "plot", table.concat(out, "\n"))
end

local function section_html(section)
  local out = { element("h2", nil, escape(section.title)) }
  for i, block in ipairs(section.blocks) do out[#out + 1] = blocks[block.kind](block, ("%s-%d"):format(section.id, i)) end
  return ('<section id="%s">\n%s\n</section>'):format(section.id, table.concat(out, "\n"))
end

local function contents(sections)
  local out = {}
  for i, section in ipairs(sections) do out[i] = ('<a href="#%s">%s</a>'):format(section.id, escape(section.title)) end
  return ('<nav aria-label="Contents">%s</nav>'):format(table.concat(out, "\n"))
end

local function keys_html(keys)
  if not keys[1] then return "" end
  local out = {}
  for i, row in ipairs(keys) do out[i] = ("<div><dt>%s</dt><dd>%s</dd></div>"):format(escape(row[1]), value_html(row[2])) end
  return element("dl", "keys", table.concat(out))
end

local function header_html(document)
  local outcome = document.outcome
  return ([[<header>
<p class="kind">%s</p>
<h1>%s</h1>
<div class="outcome %s"><p class="word"><span aria-hidden="true">%s</span> %s</p><p>%s</p></div>
%s
</header>]]):format(escape(document.kind), escape(document.subject), outcome.tone, GLYPHS[outcome.tone] or "", escape(outcome.word), prose(outcome.text), keys_html(document.keys))
end

--- Writes a document down.
---@param document table
---@return string
---@usage assert(require("papers.html").of { title = "<T>", kind = "K", subject = "S", outcome = { word = "Done", tone = "good", text = "" }, keys = {}, sections = {}, made = "now" }:find "<title>&lt;T&gt;</title>")
function M.of(document)
  local sections = {}
  for i, section in ipairs(document.sections) do sections[i] = section_html(section) end
  return table.concat({
    '<!DOCTYPE html>', '<html lang="en" xmlns="http://www.w3.org/1999/xhtml">', "<head>", '<meta charset="utf-8"/>',
    ('<meta http-equiv="Content-Security-Policy" content="%s"/>'):format(escape(POLICY)), '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
    '<meta name="color-scheme" content="light dark"/>', '<meta name="referrer" content="no-referrer"/>', element("title", nil, escape(document.title)),
    element("style", nil, style.CSS), "</head>", "<body>", header_html(document), contents(document.sections), "<main>", table.concat(sections, "\n"), "</main>",
    element("footer", nil, element("p", nil, escape(document.made))), "</body>", "</html>", "",
  }, "\n")
end

return M
