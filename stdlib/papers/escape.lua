--- papers.escape: a text that may come from anybody, as it stands in HTML and in Markdown. It means itself there and nothing else.

local M = {}

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

-- Controls that no document can hold, and what would change the direction of the text around it.
local function is_hidden(code)
  return (code >= 0x80 and code < 0xA0) or (code >= 0x202A and code <= 0x202E) or (code >= 0x2066 and code <= 0x2069) or code == 0xFFFE or code == 0xFFFF
end

--- A text of which everything can be seen: bytes that are no UTF-8, controls and what changes the direction of text are shown by their number.
---@param value any
---@return string
---@usage assert(require("papers.escape").visible "a\0\xFFb\u{202E}" == "a\\x00\\xFFb\\u{202E}")
function M.visible(value)
  local text = tostring(value)
  if not text:find "[%z\1-\8\11\12\14-\31\127-\255]" then return text end
  local _, wrong = utf8.len(text)
  while wrong do
    text = text:sub(1, wrong - 1) .. ("\\x%02X"):format(text:byte(wrong)) .. text:sub(wrong + 1)
    _, wrong = utf8.len(text, wrong)
  end
  text = text:gsub("[%z\1-\8\11\12\14-\31\127]", function(c) return ("\\x%02X"):format(c:byte()) end)
  return (text:gsub("[\xC2-\xF4][\x80-\xBF]+", function(c)
    local code = utf8.codepoint(c)
    return is_hidden(code) and ("\\u{%X}"):format(code) or nil
  end))
end

--- In HTML and XML, also in an attribute.
---@param value any
---@return string
---@usage assert(require("papers.escape").html "<a b='\"'>&" == "&lt;a b=&#39;&quot;&#39;&gt;&amp;")
function M.html(value) return (M.visible(value):gsub("[&<>\"']", ENTITIES)) end

--- Within a line of Markdown, as in a cell of a table: no markup, no HTML, no line break.
---@param value any
---@return string
---@usage assert(require("papers.escape").markdown "<b> a|b *c* _d_ e_f\ng <= 1" == "&lt;b> a\\|b \\*c\\* \\_d\\_ e_f g <= 1")
function M.markdown(value)
  local text = M.visible(value):gsub("%s+", " "):gsub("[\\`*%[%]|]", "\\%0"):gsub("&", "&amp;"):gsub("<%f[%a/!?]", "&lt;")
  return (text:gsub("%f[%w_]_+", function(all) return ("\\_"):rep(#all) end):gsub("_+%f[^%w_]", function(all) return ("\\_"):rep(#all) end))
end

--- As a line of Markdown that it begins: no heading, list or quotation either.
---@param value any
---@return string
---@usage assert(require("papers.escape").markdown_line "# a" == "\\# a" and require("papers.escape").markdown_line "1. a" == "1\\. a")
function M.markdown_line(value) return (M.markdown(value):gsub("^([#>+-])", "\\%1"):gsub("^(%d+)([.)] )", "%1\\%2")) end

--- As code within a line of Markdown, if it is the kind of text that can stand there.
---@param value any
---@return string
---@usage assert(require("papers.escape").markdown_code "a|b" == "`a\\|b`" and require("papers.escape").markdown_code "`<b>" == "\\`&lt;b>")
function M.markdown_code(value)
  local text = M.visible(value):gsub("%s+", " "):gsub("|", "\\|")
  return text:find "[`<]" and M.markdown(value) or "`" .. text .. "`"
end

return M
