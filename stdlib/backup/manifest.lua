--- backup.manifest: what a backup says of itself, believed only as far as it was looked at.
--
-- A backup may come from a store that others can write to. Names must not lead out of its folder, what becomes part of an SQL statement
-- must be what it claims to be, and every file must be one whose hash was proven.

local core_err = require "core.err"
local files = require "files"
local json = require "json"
local tables_of = require "backup.postgres_tables"

local M = {}

--- The version of the format that is written and read.
M.VERSION = 2

local LIMIT_BYTES = 64 << 20
local ENCRYPTION = "openssl enc -aes-256-ctr -pbkdf2"
M.ENCRYPTION = ENCRYPTION

local function refuse(where, message) error(core_err.new { code = "backup_corrupt", op = "backup", message = where .. ": " .. message }, 0) end

local function is_count(value) return math.type(value) == "integer" and value >= 0 end
local function is_hex(value, digits) return type(value) == "string" and #value == digits and not value:find "[^%x]" end
local function is_text(value) return type(value) == "string" and value ~= "" and not value:find "%z" end

local function is_text_or_nothing(value) return value == nil or is_text(value) end

--- Is this an id that a backup may have? It becomes part of paths.
---@param id any
---@return boolean
---@usage assert(require("backup.manifest").is_id "20261124T120000Z-a1b2c3" and not require("backup.manifest").is_id "../x")
function M.is_id(id) return type(id) == "string" and #id <= 100 and id:find "^[%w][%w._-]*$" ~= nil end

--- Is this the name of a file below the backup's folder, and nowhere else?
---@param name any
---@return boolean
---@usage assert(require("backup.manifest").is_inside "data/a.zst" and not require("backup.manifest").is_inside "../a")
function M.is_inside(name)
  if not is_text(name) or name:sub(1, 1) == "/" or name:find "[%c\\]" then return false end
  for part in (name .. "/"):gmatch "([^/]*)/" do if part == "" or part == "." or part == ".." then return false end end
  return true
end

--- Is this a list of column names as quote_ident makes them, and no other SQL?
---@param text string
---@return boolean
---@usage assert(require("backup.manifest").is_columns 'id, "a ""b"' and not require("backup.manifest").is_columns "id) FROM x; --")
function M.is_columns(text)
  if type(text) ~= "string" then return false end
  if text == "" then return true end
  local at = 1
  while true do
    local stop = select(2, text:find("^[%l_\128-\255][%w_$\128-\255]*", at))
    if not stop and text:sub(at, at) == '"' then
      stop = at
      repeat
        stop = text:find('"', stop + 1, true)
        local twice = stop and text:sub(stop + 1, stop + 1) == '"'
        if twice then stop = stop + 1 end
      until not twice
    end
    if not stop then return false end
    if stop == #text then return true end
    if text:sub(stop + 1, stop + 2) ~= ", " then return false end
    at = stop + 3
  end
end

--- The content of a file that is a plain one. A link could lead anywhere, and a pipe would be read for ever.
---@param path string
---@param limit? integer bytes
---@return string? text, table? err
---@usage local text, err = require("backup.manifest").read_plain "/dev/null"  assert(not text and err.message:find "no plain file")
function M.read_plain(path, limit)
  local stat, err = files.stat(path)
  if not stat then return nil, err end
  if stat.type ~= "file" then return nil, core_err.new { code = "io", op = "backup", message = path .. " is no plain file" } end
  return files.read(path, limit)
end

local function check_files(where, manifest, hashes)
  if type(manifest.files) ~= "table" then refuse(where, "it names no files") end
  for name, one in pairs(manifest.files) do
    if not M.is_inside(name) then refuse(where, ("the file '%s' leads out of the backup"):format(tostring(name))) end
    if type(one) ~= "table" or not is_hex(one.sha256, 64) or not is_count(one.bytes) or not is_count(one.raw_bytes) then refuse(where, ("the file '%s' has no size or hash"):format(name)) end
    if hashes and hashes[name] ~= one.sha256 then refuse(where, ("the file '%s' has another hash than in SHA256SUMS"):format(name)) end
  end
end

-- What an incremental backup goes by; a backup from before there were any says nothing of it. The pieces must be all files of the
-- table, and together what it is said to have.
local function check_pieces(where, one)
  if one.identity == nil and one.pieces == nil then return end
  if one.identity ~= nil and not is_text(one.identity) then refuse(where, ("table %s has no identity"):format(one.name)) end
  if type(one.pieces) ~= "table" then refuse(where, ("table %s has no list of pieces"):format(one.name)) end
  local rows, checksum, before = 0, ("0"):rep(32), 0
  for i, piece in ipairs(one.pieces) do
    if type(piece) ~= "table" or not is_count(piece.rows) or not is_hex(piece.checksum, 32) or piece.file ~= one.files[i] then refuse(where, ("table %s: a piece has no file, number of rows or checksum"):format(one.name)) end
    if piece.from_block ~= before or not (i == #one.pieces and piece.to_block == nil or is_count(piece.to_block) and piece.to_block > before) then refuse(where, ("table %s: its pieces are not side by side"):format(one.name)) end
    rows, checksum, before = rows + piece.rows, tables_of.add(checksum, piece.checksum), piece.to_block
  end
  if #one.pieces ~= #one.files or rows ~= one.rows or checksum ~= one.checksum then refuse(where, ("table %s is not what its pieces are together"):format(one.name)) end
end

local function check_table(where, manifest, one)
  if type(one) ~= "table" or not is_text(one.name) or not is_count(one.rows) or not is_hex(one.checksum, 32) then refuse(where, "a table has no name, number of rows or checksum") end
  if manifest.database.info.format == "sqlite" then return end
  if not is_text(one.schema) or not is_text(one.table_name) then refuse(where, ("table %s has no schema"):format(one.name)) end
  if not M.is_columns(one.columns) then refuse(where, ("table %s: its columns are not a list of names"):format(one.name)) end
  if not is_text_or_nothing(one.condition) then refuse(where, ("table %s: its condition is no text"):format(one.name)) end
  if type(one.files) ~= "table" then refuse(where, ("table %s has no list of files"):format(one.name)) end
  for _, name in ipairs(one.files) do
    if not manifest.files[name] then refuse(where, ("table %s: the backup has no file '%s'"):format(one.name, tostring(name))) end
  end
  check_pieces(where, one)
end

-- Transactions are numbered with 64 bits; more digits would be no integer here.
local function is_snapshot(value)
  local oldest = type(value) == "string" and value:match "^(%d+):%d+:[%d,]*$"
  return oldest and #oldest <= 18
end

local function check_database(where, manifest)
  local database = manifest.database
  if type(database) ~= "table" or type(database.info) ~= "table" or type(database.tables) ~= "table" then refuse(where, "the database is not described") end
  local format = database.info.format
  if format ~= "postgres" and format ~= "sqlite" then refuse(where, ("a database of the kind '%s' cannot be restored"):format(tostring(format))) end
  local needed = format == "sqlite" and { "database.sqlite" } or { "schema-pre.sql", "schema-post.sql", "schema.dump", "sequences.sql" }
  for _, name in ipairs(needed) do
    local full = name .. ".zst" .. (manifest.encryption and ".enc" or "")
    if not manifest.files[full] then refuse(where, ("the backup has no file '%s'"):format(full)) end
  end
  for _, one in ipairs(database.tables) do check_table(where, manifest, one) end
  if format == "sqlite" then return end
  local info = database.info
  for _, name in ipairs { "encoding", "collate", "ctype" } do if not is_text(info[name]) then refuse(where, ("the database has no %s"):format(name)) end end
  for _, name in ipairs { "locale", "icu_rules", "provider" } do if not is_text_or_nothing(info[name]) then refuse(where, ("the database's %s is no text"):format(name)) end end
  if (info.provider or "c") ~= "c" and not info.locale then refuse(where, "the database has no locale") end
  if type(info.large_objects) ~= "table" or not is_count(info.large_objects.count) then refuse(where, "the number of large objects is missing") end
  if info.current_snapshot ~= nil and not is_snapshot(info.current_snapshot) then refuse(where, "the snapshot is none") end
  if info.origin ~= nil and (not is_text(info.origin) or info.current_snapshot == nil) then refuse(where, "its origin is none") end
end

local function check(where, manifest, hashes)
  if type(manifest) ~= "table" then refuse(where, "it is no manifest") end
  if manifest.version ~= M.VERSION then refuse(where, ("it is of version %s, this engine reads %d"):format(tostring(manifest.version), M.VERSION)) end
  if not M.is_id(manifest.id) then refuse(where, "its id is none") end
  if not is_text(manifest.taken_at) or not manifest.taken_at:match "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d" then refuse(where, "it does not say when it was taken") end
  if manifest.encryption ~= nil and manifest.encryption ~= ENCRYPTION then refuse(where, ("it is encrypted with '%s', this engine reads '%s'"):format(tostring(manifest.encryption), ENCRYPTION)) end
  check_files(where, manifest, hashes)
  if manifest.database ~= nil then check_database(where, manifest) end
  if type(manifest.trees) ~= "table" then refuse(where, "it has no list of file trees") end
  for _, tree in ipairs(manifest.trees) do
    if type(tree) ~= "table" or not is_text(tree.path) or not manifest.files[tree.file] then refuse(where, "a file tree has no file") end
  end
  return manifest
end

--- Reads the manifest of the backup at path.
---@param path string
---@param hashes? table<string, string> SHA-256 by file, as proven; a manifest that says otherwise is refused
---@return table? manifest, table? err code backup_corrupt
function M.read(path, hashes)
  local where = path .. "/manifest.json"
  local text, err = M.read_plain(where, LIMIT_BYTES)
  if not text then return nil, core_err.new { code = "backup_corrupt", op = "backup", message = where .. " cannot be read", cause = err.message } end
  local manifest
  manifest, err = json.decode(text)
  if err then return nil, core_err.new { code = "backup_corrupt", op = "backup", message = where .. " is no manifest", cause = err.message } end
  local ok, result = pcall(check, where, manifest, hashes)
  if ok then return result end
  if core_err.is(result) then return nil, result end
  error(result, 0)
end

return M
