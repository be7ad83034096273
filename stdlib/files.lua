--- files: reading and writing files, off the loop.
--
-- Written files appear whole or not at all, and are 0600 unless said otherwise. Modes are given as
-- octal text ("0644") or integers. Error codes: not_found, permission, exists, io, limit, capability.

local core = require "core.files"

local M = {}

local function mode_of(text)
  if text == nil then return nil end
  if math.type(text) == "integer" then return text end
  local mode = type(text) == "string" and text:match "^0?[0-7][0-7][0-7]$" and tonumber(text, 8)
  if not mode then error("a mode is octal text such as \"0644\"", 3) end
  return mode
end

--- The content of a file.
---@param path string
---@param limit? integer bytes (64 MiB); a larger file is an error "limit"
---@return string? text, table? err
---@usage local text, err = files.read "/no/such/file"  assert(not text and err.code == "not_found")
function M.read(path, limit) return core.read(path, limit) end

--- The end of a file, from the beginning of a line.
---@param path string
---@param limit integer bytes at most
---@return string? text, table? err
---@usage local d = files.mkdtemp()  assert(files.write(d .. "/a", "one\ntwo\n"))  assert(files.read_tail(d .. "/a", 5) == "two\n")
function M.read_tail(path, limit) return core.read_tail(path, limit) end

--- Writes a file: all of it durably, or nothing. Text may be a secret.
---@param path string
---@param text string
---@param mode? string|integer octal ("0600")
---@return true? ok, table? err
---@usage local d = files.mkdtemp()  assert(files.write(d .. "/a", "text"))  assert(files.read(d .. "/a") == "text")
function M.write(path, text, mode) return core.write(path, text, mode_of(mode)) end

--- Adds to the end of a file, which is made if it does not exist. Durable when it returns.
---@param path string
---@param text string
---@param mode? string|integer octal, of a new file ("0600")
---@return true? ok, table? err
---@usage local d = files.mkdtemp()  assert(files.append(d .. "/a", "x"))  assert(files.append(d .. "/a", "y"))  assert(files.read(d .. "/a") == "xy")
function M.append(path, text, mode) return core.append(path, text, mode_of(mode)) end

--- Copies a file with its permission bits; the copy appears whole.
---@param from string
---@param to string
---@return true? ok, table? err
---@usage local d = files.mkdtemp()  files.write(d .. "/a", "1")  assert(files.copy(d .. "/a", d .. "/b"))
function M.copy(from, to) return core.copy(from, to) end

--- Gives a file or folder another name in the same file system, durably; one that exists is never
-- replaced.
---@param from string
---@param to string
---@return true? ok, table? err code exists
---@usage local d = files.mkdtemp()  files.write(d .. "/a", "1")  assert(files.rename(d .. "/a", d .. "/b"))
function M.rename(from, to) return core.rename(from, to) end

--- Makes every file and folder of a tree durable, itself too.
---@param path string
---@return true? ok, table? err
---@usage local d = files.mkdtemp()  assert(files.sync_tree(d))
function M.sync_tree(path) return core.sync_tree(path) end

--- The names in a folder, in order, without . and ..
---@param path string
---@return string[]? names, table? err
---@usage local d = files.mkdtemp()  files.write(d .. "/a", "1")  assert(files.list(d)[1] == "a")
function M.list(path) return core.list(path) end

--- Makes a folder and its parents; one that exists is fine.
---@param path string
---@param mode? string|integer octal ("0700")
---@return true? ok, table? err
---@usage local d = files.mkdtemp()  assert(files.mkdir(d .. "/x/y"))
function M.mkdir(path, mode) return core.mkdir(path, mode_of(mode)) end

--- Makes a new folder of a name that nobody else has.
---@param prefix? string "/tmp/engine-"; six letters are added
---@return string? path, table? err
---@usage local d = assert(files.mkdtemp())  assert(files.remove_tree(d))
function M.mkdtemp(prefix) return core.mkdtemp(prefix or "/tmp/engine-") end

--- Removes a file, a link or an empty folder. Being absent is no error.
---@param path string
---@return true? ok, table? err
---@usage assert(files.remove "/no/such/file")
function M.remove(path) return core.remove(path) end

--- Removes a folder with everything in it; links are removed, not followed. Refuses the root and the
-- present folder. One that does not exist is a success.
---@param path string
---@return true? ok, table? err
---@usage local d = files.mkdtemp()  files.mkdir(d .. "/x/y")  assert(files.remove_tree(d))  assert(not files.exists(d))
function M.remove_tree(path) return core.remove_tree(path) end

--- Makes the symbolic link `path` that points to `target`; with replace, an existing link is
-- replaced in one step.
---@param path string the link
---@param target string what it points to
---@param options? { replace?: boolean }
---@return true? ok, table? err
---@usage local d = files.mkdtemp()  assert(files.link(d .. "/current", "a"))  assert(files.link(d .. "/current", "b", { replace = true }))
function M.link(path, target, options) return core.link(target, path, options and options.replace or false) end

--- Gives a file a second name in the same file system: the same bytes, and the same again when one of the names is written in place.
---@param from string
---@param to string must not exist
---@return true? ok, table? err
---@usage local d = files.mkdtemp()  files.write(d .. "/a", "1")  assert(files.hard_link(d .. "/a", d .. "/b"))  files.remove(d .. "/a")  assert(files.read(d .. "/b") == "1")
function M.hard_link(from, to) return core.hard_link(from, to) end

--- What a path is. Links are not followed unless follow is set.
---@param path string
---@param options? { follow?: boolean }
---@return { type: "file"|"directory"|"link"|"other", size: integer, mode: integer, owner: integer, group: integer, modified: number }? stat
---@return table? err
---@usage assert(files.stat("/").type == "directory")
function M.stat(path, options) return core.stat(path, options and options.follow or false) end

--- Is there something at this path?
---@param path string
---@return boolean? exists nil when that cannot be told; table? err
---@usage assert(files.exists "/" == true and files.exists "/no/such/file" == false)
function M.exists(path)
  local stat, err = core.stat(path, false)
  if stat then return true end
  if err.code == "not_found" then return false end
  return nil, err
end

--- The SHA-256 of a file's content, as 64 hexadecimal digits; of a part of it, where one is given.
---@param path string
---@param offset? integer bytes
---@param size_bytes? integer a file that is shorter is an error
---@return string? digest, table? err
---@usage local d = files.mkdtemp()  files.write(d .. "/a", "abc")  assert(files.sha256(d .. "/a") == files.sha256_text "abc")
function M.sha256(path, offset, size_bytes) return core.sha256(path, offset, size_bytes) end

--- The SHA-256 of a text.
---@param text string
---@return string digest
---@usage assert(files.sha256_text("abc"):sub(1, 8) == "ba7816bf")
function M.sha256_text(text) return core.sha256_text(text) end

--- The absolute path, with every link resolved.
---@param path string
---@return string? path, table? err
---@usage assert(files.realpath "/usr/.." == "/")
function M.realpath(path) return core.realpath(path) end

return M
