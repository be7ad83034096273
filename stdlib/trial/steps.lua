--- trial.steps: which names of steps there are, so that an expectation about a misspelt one is a mistake and not a test that passes.
--
-- Names that a run has shown are known. Those that none has shown yet are read from the sources: the name of a step is there as a
-- text, or as one with something in its middle ("30.2.1 provision " .. new).

local parser = require "check.parser"
local schema = require "schema"
local walk = require "check.walk"
local means = require("simulation.world").means

local M = {}

local Names = {}
Names.__index = Names

local ANY = "\0" -- stands where a name has something that only a run knows

-- A name as its expression in a source has it, with ANY for what is not a text.
local function template(node)
  if node.kind == "String" then return node.value end
  if node.kind == "Paren" then return template(node.inner) end
  if node.kind == "Binary" and node.operator == ".." then return template(node.left) .. template(node.right) end
  if node.kind == "Method" and node.name.name == "format" then return (template(node.object):gsub("%%%-?[%d.]*[%a]", ANY):gsub("%%%%", "%%")) end
  return ANY
end

-- The first argument of what declares a step: step, run.step, d:traffic_step.
local function name_node(node)
  local callee = node.kind == "Call" and (node.fn.name or node.fn.key and node.fn.key.value) or node.kind == "Method" and node.name.name
  local first = type(callee) == "string" and callee:find "%f[%a]step$" and node.args[1]
  if first and first.kind == "Table" then first = first.fields[1] and not first.fields[1].key and first.fields[1].value end
  return first
end

local function read(text, templates)
  local tree = text:find "step" and parser.parse(text)
  if not tree then return end
  walk.each(tree, function(node)
    local named = name_node(node)
    local found = named and template(named)
    if found and found:find "[^%z]" then templates[found] = true end
  end)
end

--- The names of steps in some sources, by their texts.
---@param texts string[]
---@return table names
---@usage local n = require("trial.steps").new { 'step("a " .. x, f)' }  assert(n:resolve("a b") and not n:resolve("b"))
function M.new(texts)
  local self = setmetatable({ seen = {}, templates = {} }, Names)
  for _, text in ipairs(texts) do read(text, self.templates) end
  return self
end

--- A run has shown this name.
---@param name string
function Names:add(name) self.seen[name] = true end

local function escaped(text) return (text:gsub("[%^%$%(%)%%%.%[%]%*%+%-%?]", "%%%0")) end

-- The words that stand where a template has ANY, if the name fits it.
local function words_of(given, shape) return { given:match("^" .. escaped(shape):gsub(ANY, "(.-)") .. "$") } end

-- Is a word that no run has shown likely to be another one, misspelt? Numbers and versions are near to others without being meant for them.
local function misspelt(word, words) return not word:find "%d" and not words[word] and schema.nearest(word, words) ~= nil end

-- The words of the names that runs have shown, and what stands for a colour.
local function known_words(self)
  local words = { blue = true, green = true }
  for name in pairs(self.seen) do for word in name:gmatch "%S+" do words[word] = true end end
  return words
end

-- A name, and its beginnings up to the end of each word.
local function add_beginnings(candidates, name)
  for at in name:gmatch "%f[%s\0]()" do candidates[name:sub(1, at - 1)] = true end
end

--- Is there a step that the name means? Otherwise also the nearest name that there is, if one is near.
---@param given string
---@return boolean known, string? nearest
function Names:resolve(given)
  local inner = given:match "^undo (.+)$"
  if inner then
    local known, near = self:resolve(inner)
    return known, near and "undo " .. near
  end
  for name in pairs(self.seen) do if means(given, name) then return true end end
  local candidates, words = {}, known_words(self)
  for shape in pairs(self.templates) do
    local head = shape:match "^[^%z]*"
    if not shape:find(ANY) and means(given, shape) or #head > #given and means(given, head) then return true end
    local found = words_of(given, shape)
    local fits = #found > 0
    for _, word in ipairs(found) do fits = fits and word ~= "" and not misspelt(word, words) end
    if fits then return true end
    add_beginnings(candidates, (shape:gsub(ANY, "...")))
  end
  for name in pairs(self.seen) do add_beginnings(candidates, name) end
  return false, schema.nearest(given, candidates)
end

return M
