-- How the demo's releases are made: 1.0 is application.lua as it stands; 1.1 is 1.0 with the changes
-- below, and, when a fault is asked for, with one more change: a bug of the kind that passes a review.

local files = require "files"

local M = {}

-- Each change replaces one piece of text, which must be there.
local plans = {
  { 'local VERSION = "1.0"', 'local VERSION = "1.1"' },
  { [[(id, name, owner_id, budget_cents, updated_at) VALUES ($1, $2, $3, $4, $5)"]],
    [[(id, name, owner_id, budget_cents, updated_at, plan) VALUES ($1, $2, $3, $4, $5, 'standard')"]] },
  { "return serve.json { id = row.id, name = row.name, budget_cents = row.budget_cents }",
    "return serve.json { id = row.id, name = row.name, budget_cents = row.budget_cents, plan = row.plan }" },
}

M.bugs = {
  -- An average that divides by zero for everybody who has an even number of ventures.
  errors = { { "      local total = 0\n", "      local total = 0\n      local share = #rows // (#rows % 2)\n" },
    { "<footer>%s</footer>\"):format(", "<p>share %d</p><footer>%s</footer>\"):format(" },
    { "table.concat(items), VERSION)", "table.concat(items), share, VERSION)" } },
  -- A call that waits for an answer which never comes in time.
  slow = { { "      local total = 0\n", "      local total = 0\n      sleep(0.9) -- recommendations\n" } },
  -- An update that is answered but not written.
  smoke = { { "UPDATE ventures SET name = $1, updated_at = $2 WHERE id = $3", "UPDATE ventures SET name = $1, updated_at = $2 WHERE name = $3" } },
}

-- A migration that was meant to move budgets to another unit, and damages them.
M.bad_migration = "UPDATE ventures SET budget_cents = budget_cents / 100;\n"

-- A migration that tidies a name while the old release still uses it.
M.incompatible_migration = "ALTER TABLE ventures RENAME COLUMN name TO title;\n"

local function apply(text, changes)
  for _, change in ipairs(changes) do
    local first, last = text:find(change[1], 1, true)
    if not first then error("the application has no text: " .. change[1], 0) end
    text = text:sub(1, first - 1) .. change[2] .. text:sub(last + 1)
  end
  return text
end

--- Writes releases 1.0 and 1.1 below `to`. `source` is the folder of this file.
function M.build(source, to, fault)
  local application = expect(files.read(source .. "/application.lua"))
  local base = expect(files.read(source .. "/migrations/001_base.sql"))
  local second = expect(files.read(source .. "/migrations/002_plans.sql"))
  if fault == "migration" then second = second .. M.bad_migration end
  if fault == "incompatible" then second = second .. M.incompatible_migration end

  local function write(version, text, migrations)
    expect(files.mkdir(to .. "/" .. version .. "/migrations"))
    expect(files.write(to .. "/" .. version .. "/application.lua", text))
    for name, sql_text in pairs(migrations) do expect(files.write(("%s/%s/migrations/%s"):format(to, version, name), sql_text)) end
  end
  write("1.0", application, { ["001_base.sql"] = base })
  local next_text = apply(application, plans)
  if M.bugs[fault] then next_text = apply(next_text, M.bugs[fault]) end
  write("1.1", next_text, { ["001_base.sql"] = base, ["002_plans.sql"] = second })
end

return M
