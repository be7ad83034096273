--- check.file: all rules for one file.

local rules_calls = require "check.rules_calls"
local rules_effects = require "check.rules_effects"
local rules_flow = require "check.rules_flow"
local rules_names = require "check.rules_names"
local rules_steps = require "check.rules_steps"

local M = {}

--- Parses the subject and applies the rules that need nothing but the file. False when it has no tree.
---@param subject table of check.subject
---@return boolean parsed
---@usage local s = require("check.subject").of_text("x.lua", "return traffic.sett {}", require("check.registry").new {})  require("check.file").check(s)  assert(s.findings[1].message:find "has no")
function M.check(subject)
  if not subject:parse() then return false end
  for _, rules in ipairs { rules_names, rules_calls, rules_flow, rules_steps, rules_effects } do rules.check(subject) end
  return true
end

return M
