--- backup_command: `engine backup ...`, for people and cron. The same as module backup, with words.

local advice = require "advice"
local arguments = require "arguments"
local backup = require "backup"
local core_err = require "core.err"
local display = require "display"
local place = require "backup.place"

local M = {}

--- The options of all its parts.
M.options = {
  database = { value = "URL", about = "postgres://... or sqlite:/path; env:NAME reads it from the environment, where no list of processes shows it" },
  to = { value = "DIR", about = "the folder of the backups; take: or s3://BUCKET/PREFIX?...; restore --in-place: where the backup of what is replaced goes" },
  store = { value = "S3", about = "s3://BUCKET/PREFIX?endpoint=URL&region=NAME; keys from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" },
  checksum = { value = "SHA256", about = "verify, drill, restore: the SHA-256 that take printed; then it must be that backup, whoever else could write to it" },
  files = { value = "PATH,PATH", about = "file trees, separated by commas" },
  lost = { value = "DIR", about = "restore, diff: folder for the rows that are lost; reapply: the one that they are in" },
  with = { value = "URL", about = "diff: the database that the first is compared with" },
  passphrase = { value = "env:NAME", about = "env:NAME: take encrypts with it, drill and restore read with it" },
  incremental = { type = "boolean", about = "take: tables, or parts of them, that are proven unchanged are taken over from the latest verified backup in --to" },
  in_place = { type = "boolean", about = "restore: into the live database, in one transaction, for servers on which no database may be made" },
  yes = { type = "boolean", about = "restore, reapply: do it" },
  last = { value = "N", type = "integer", about = "prune: how many of the latest stay" },
  daily = { value = "N", type = "integer", about = "prune: the latest of so many days" },
  weekly = { value = "N", type = "integer", about = "prune: the latest of so many weeks" },
  dry_run = { type = "boolean", about = "prune: only say what would go" },
}

local function usage(message, next_step)
  return core_err.new { code = "usage", op = "command line", message = message, next = next_step or "engine backup --help" }
end

-- An address as it was given, or the secret in the variable that env:NAME names.
local function address(given)
  local name = given and given:match "^env:([%w_]+)$"
  if not name then return given end
  local value = require("core.secret").environment(name)
  if not value then error(usage(("the environment variable %s is not set"):format(name)), 0) end
  return value
end

local function need(options, ...)
  for _, name in ipairs { ... } do
    if not options[name] then error(usage(("--%s is missing: %s"):format(name, M.options[name].about), ("engine backup %s --help"):format(options.words[1])), 0) end
  end
end

local function need_path(options)
  local path = options.words[2]
  if not path then error(usage(("%s needs the folder of a backup, or s3://BUCKET/PREFIX/ID"):format(options.words[1])), 0) end
  return path
end

-- What comes from a backup, a store or a database may hold anything.
local function say(text) print(display.plain(text)) end

local function say_loss(loss)
  for _, one in ipairs(loss.tables) do
    say(("  %s: %d inserted, %d updated, %d deleted"):format(one.name, one.inserted, one.updated, one.deleted))
  end
  print(("lost by going back: %d inserted, %d updated, %d deleted%s"):format(loss.inserted, loss.updated, loss.deleted, loss.path and "; the rows are in " .. loss.path or ""))
  for _, note in ipairs { "approximate", "problem" } do if loss[note] then print(note .. ": " .. loss[note]) end end
end

--- What it can do, each with its words, and the options that it needs and may have.
M.parts = {}

local function part(fields, run)
  fields.run = run
  M.parts[#M.parts + 1] = fields
end

-- What the arguments call a store.
local function store_of(options)
  local store, err = require("backup.s3").open(options.store)
  if not store then error(err, 0) end
  return store
end

part({ name = "take", words = {}, needs = { "to" }, options = { "to", "database", "files", "incremental", "store", "passphrase" },
  about = "takes a backup and verifies it; --store: sends it there, too" }, function(options)
  local trees = {}
  for path in (options.files or ""):gmatch "[^,]+" do trees[#trees + 1] = path end
  if not options.database and not trees[1] then error(usage "--database or --files is missing", 0) end
  local taking = { database = address(options.database), files = trees[1] and trees, to = options.to, since = options.incremental or nil, passphrase = address(options.passphrase), progress = display.progress_of "take" }
  local taken, verified, sent, where
  if place.is_store(options.to) then
    if options.incremental then error(usage "--incremental takes over files of an earlier backup in a folder: give the folder as --to, and the store as --store", 0) end
    local done = place.take(taking)
    taken, verified, sent, where = done.taken, done.verified, done.sent, place.join(options.to, done.taken.id)
  else
    taken = assert(backup.take(taking))
    verified, where = assert(backup.verify(taken.path, taken.checksum, display.progress_of "verify")), taken.path
    if options.store then sent = assert(store_of(options):put(taken.path, taken.id, display.progress_of "send")) end
  end
  if taken.incremental then print(backup.reuse_text(taken.incremental)) end
  print(("%s: %d bytes in %s, %d files verified%s, SHA-256 %s"):format(where, taken.size_bytes, display.duration(taken.seconds), verified.files, sent and " and in the store's list" or "", taken.checksum))
end)

part({ name = "send", words = { "BACKUP" }, needs = { "store" }, options = { "store" },
  about = "sends a finished backup to a store; what is there already is not sent again" }, function(options)
  local path = need_path(options)
  local verified = assert(backup.verify(path, nil, display.progress_of "verify"))
  local sent = assert(store_of(options):put(path, verified.manifest.id, display.progress_of "send"))
  print(("%d files of %s are in the store, %d bytes were sent"):format(sent.files, verified.manifest.id, sent.sent_bytes))
end)

part({ name = "fetch", words = { "ID" }, needs = { "store", "to" }, options = { "store", "to" },
  about = "brings a backup from a store and verifies it" }, function(options)
  local path = assert(store_of(options):fetch(need_path(options), options.to, display.progress_of "fetch"))
  local verified = assert(backup.verify(path, nil, display.progress_of "verify"))
  print(("%s: %d files, %d bytes: all as they were written"):format(path, verified.files, verified.bytes))
end)

part({ name = "verify", words = { "BACKUP" }, needs = {}, options = { "checksum" },
  about = "reads every file and compares it with what was written" }, function(options)
  local progress = display.progress_of "verify"
  local verified = place.with(need_path(options), function(path) return assert(backup.verify(path, options.checksum, progress)) end, progress)
  print(("%d files, %d bytes: all as they were written"):format(verified.files, verified.bytes))
end)

part({ name = "list", words = {}, needs = {}, options = { "to", "store" },
  about = "the finished backups, the latest first" }, function(options)
  if options.store then
    for _, one in ipairs(assert(store_of(options):list())) do say(one.id .. (one.complete and "" or "  (not finished)")) end
    return
  end
  need(options, "to")
  for _, one in ipairs(assert(backup.list(options.to))) do say(("%s  %s  %s"):format(one.taken_at, one.id, one.path)) end
end)

part({ name = "drill", words = { "BACKUP" }, needs = { "database" }, options = { "database", "checksum", "passphrase" },
  about = "restores beside the live database, compares every table, and drops the copy" }, function(options)
  local progress = display.progress_of "drill"
  local drill = place.with(need_path(options), function(path)
    return assert(backup.drill { backup = path, checksum = options.checksum, database = address(options.database), passphrase = address(options.passphrase), progress = progress })
  end, progress)
  print(("%d tables, %d rows restored and compared in %s"):format(drill.tables, drill.rows, display.duration(drill.seconds)))
end)

part({ name = "restore", words = { "BACKUP" }, needs = { "database" }, options = { "database", "yes", "lost", "in_place", "to", "checksum", "passphrase" },
  about = "restores beside the live database, compares, swaps it in, and says what is lost" }, function(options)
  local path = need_path(options)
  if not options.yes then error(usage(("restore replaces the live database by %s; add --yes to do it"):format(path), ("engine backup restore %s --database ... --yes, after engine backup drill"):format(path)), 0) end
  if options.in_place and place.is_store(path) then need(options, "to") end -- it would go beside the backup, which is not kept
  local progress = display.progress_of "restore"
  local restored = place.with(path, function(here)
    return assert(backup.restore { backup = here, checksum = options.checksum, database = address(options.database), to = options.lost, in_place = options.in_place, safety = options.to, passphrase = address(options.passphrase), progress = progress })
  end, progress)
  print(("restored in %s, not available for %s; what was there before is %s"):format(display.duration(restored.seconds), display.duration(restored.downtime_s), restored.old or restored.safety))
  say_loss(restored.loss)
end)

part({ name = "diff", words = {}, needs = { "database", "with" }, options = { "database", "with", "lost" },
  about = "which rows of the first the second does not have, or has differently" }, function(options)
  say_loss(assert(require("backup.diff").compare(address(options.database), address(options.with), options.lost)))
end)

part({ name = "reapply", words = {}, needs = { "lost", "database" }, options = { "lost", "database", "yes", "dry_run" },
  about = "brings lost rows back where nobody changed them since" }, function(options)
  if not options.yes and not options.dry_run then error(usage "reapply changes the live database; add --dry-run to see what it would do, or --yes to do it", 0) end
  local done = assert(require("backup.reapply").run { database = address(options.database), lost = options.lost, dry_run = options.dry_run })
  print(("%s: %d inserted, %d updated, %d deleted"):format(options.dry_run and "would be made again" or "made again", done.inserted, done.updated, done.deleted))
  if done.conflicts > 0 then print(("left alone: %d, which are not as they were when they were lost"):format(done.conflicts)) end
  for _, one in ipairs(done.examples) do say("  " .. one) end
  if done.not_held > 0 then print(("not possible: %d, which the schema of now cannot hold"):format(done.not_held)) end
  if done.columns_not_held[1] then say("columns that the schema of now does not have: " .. table.concat(done.columns_not_held, ", ")) end
end)

part({ name = "prune", words = {}, needs = { "to" }, options = { "to", "last", "daily", "weekly", "dry_run" },
  about = "removes what no rule keeps; what does not verify counts as nothing" }, function(options)
  if not (options.last or options.daily or options.weekly) then error(usage "prune needs --last, --daily or --weekly", 0) end
  local done = assert(require("backup.retention").prune { to = options.to, last = options.last, daily = options.daily, weekly = options.weekly, dry_run = options.dry_run })
  for id, reason in pairs(done.kept) do print(("keeps    %s  %s"):format(id, reason)) end
  for _, id in ipairs(done.removed) do print((options.dry_run and "would remove  " or "removed  ") .. id) end
  for _, id in ipairs(done.bad) do print(("bad      %s  does not verify"):format(id)) end
end)

--- The part of this name.
---@param name string?
---@return table?
---@usage assert(require("backup_command").find("take").needs[1] == "to")
function M.find(name)
  for _, one in ipairs(M.parts) do if one.name == name then return one end end
end

local function known()
  local names = {}
  for i, one in ipairs(M.parts) do names[i] = one.name end
  return names
end

-- What is wrong with the words; nil when nothing is.
local function check_words(words)
  local names = known()
  if not words[1] then return usage("backup needs a word: " .. table.concat(names, ", ", 1, #names - 1) .. " or " .. names[#names]) end
  if not M.find(words[1]) then
    local near = {}
    for _, name in ipairs(names) do near[name] = true end
    near = require("schema").nearest(words[1], near)
    return usage(("backup has no '%s'%s"):format(words[1], near and ("; did you mean '%s'?"):format(near) or ""))
  end
  local most = #M.find(words[1]).words + 1
  if words[most + 1] then return usage(("'%s' is not expected after engine backup %s"):format(words[most + 1], table.concat(words, " ", 1, most)), ("engine backup %s --help"):format(words[1])) end
end

--- Runs `engine backup ARGV`.
---@param argv string[]
---@return integer code 0, 1 when it failed, 2 for usage
---@usage assert(require("backup_command").main({ "bogus" }) == 2)
function M.main(argv)
  local options, err = arguments.parse(argv, M.options, ("engine backup %s--help"):format(M.find(argv[1]) and argv[1] .. " " or ""))
  err = err or check_words(options.words)
  if not err then
    local chosen = M.find(options.words[1])
    local ok, problem = pcall(function()
      need(options, table.unpack(chosen.needs))
      chosen.run(options)
    end)
    if ok then return 0 end
    if not core_err.is(problem) then error(problem, 0) end
    err = problem
  end
  display.failure(err)
  print("  next   " .. advice.next(err))
  return err.code == "usage" and 2 or 1
end

return M
