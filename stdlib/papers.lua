--- papers: the documents of a run: its report (deployment log, and rollback report when it was taken back) and its handoff to the next stage,
-- each as one HTML file and as its Markdown twin. They are made from the journal and nothing else: any run, any time, also one that is under
-- way or whose engine died.
--
-- papers.read reads the journal; papers.report and papers.handoff make plain documents of it; papers.html and papers.markdown write them down.

local core_err = require "core.err"
local core_secret = require "core.secret"
local display = require "display"
local files = require "files"
local handoff = require "papers.handoff"
local html = require "papers.html"
local markdown = require "papers.markdown"
local read = require "papers.read"
local report = require "papers.report"
local standing = require "papers.standing"

local M = {}

-- A document in both forms. Secrets are not in the journal; what might be one is taken out here again.
local function forms(document) return { html = core_secret.redact(html.of(document)), md = core_secret.redact(markdown.of(document)) } end

--- The papers of a run as texts: by name, and then "html" and "md".
---@param record table of papers.read
---@return { report: table<string, string>, handoff?: table<string, string> }
function M.of(record) return { report = forms(report.of(record)), handoff = handoff.applies(record) and forms(handoff.of(record)) or nil } end

--- Writes the papers of a run into a folder, as report-ID.html, report-ID.md, and handoff-ID.* of a run that was promoted. A handoff that is
-- there stays as it is: its hash is in the journal, and somebody may have accepted it.
---@param record table of papers.read
---@param folder string
---@return { name: string, path: string, sha256: string }[]? written the reader's first, table? err
function M.write(record, folder)
  local written, texts = {}, M.of(record)
  for _, paper in ipairs { "report", "handoff" } do
    for _, form in ipairs(texts[paper] and { "html", "md" } or {}) do
      local name = ("%s-%s.%s"):format(paper, record.run.id, form)
      local path = folder .. "/" .. name
      if paper == "report" or record.is_own or not files.stat(path) then
        local ok, err = files.write(path, texts[paper][form])
        if not ok then return nil, err end
      end
      written[#written + 1] = { name = name, path = path, sha256 = assert(files.sha256(path)) }
    end
  end
  return written
end

--- `engine report`: writes the papers of any run, from the journal as it is now.
---@param journal table
---@param options { words: string[], to?: string, state?: string }
---@return integer? exit, table? err
function M.command(journal, options)
  local record, err = read.run(journal, options.words[1])
  if not record then return nil, err end
  local folder = options.to
  if folder then
    local made
    made, err = files.mkdir(folder)
    if not made then return nil, err end
  else
    local own = ("%s/runs/%s"):format(options.state or record.run.state_folder or ".", record.run.id)
    folder = files.stat(own) and own or "."
  end
  local written
  written, err = M.write(record, folder)
  if not written then return nil, err end
  local outcome = standing.outcome(record)
  print(("run %s  %s: %s"):format(record.run.id, outcome.word, display.plain(outcome.text)))
  for _, one in ipairs(written) do print("  " .. one.path) end
  if not record.proof then print("  the chain of events is NOT verified: " .. record.proof_error.message) end
  return record.proof and 0 or 1
end

--- `engine handoff accept`: the next stage takes the run over; with who, when and why in the journal.
---@param journal table
---@param options { words: string[], reason?: string, state?: string, venture?: string, journal?: string }
---@return integer? exit, table? err code usage or not_found
function M.accept(journal, options)
  if options.words[1] ~= "accept" or not options.words[2] then
    return nil, core_err.new { code = "usage", message = "handoff accept needs a run", next = "engine handoff accept RUN; engine status lists the runs." }
  end
  local row, err = journal:run(options.words[2])
  if not row then return nil, err end
  local accepted
  accepted, err = journal:accept_handoff(row.id, { by = require("execute").actor(), reason = options.reason })
  if not accepted then return nil, err end
  local text = standing.handoff(assert(journal:events(row.id)), row).text
  print(display.plain(("run %s of %s, release %s: handoff %s"):format(row.id, row.venture or "no venture", row.release or "none", text)))
  print(("  next   engine status %s%s"):format(row.id, require("journal.option").text(options)))
  return 0
end

return M
