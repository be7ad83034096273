--- files: whole files and folders. Every call returns nil, err when the world says no.
--
-- What is written is durable and never half there. New files are 0600, new folders 0700.

local core = require "core.files"

local M = {}

--- A file's content; at most `limit` bytes (default 64 MiB).
---@param path string
---@param limit? integer
---@return string?, table? err codes not_found, permission, limit, io
function M.read(path, limit) return core.read(path, limit) end

--- At most the last `bytes` bytes of a file.
---@param path string
---@param bytes integer
---@return string?, table? err
function M.read_tail(path, bytes) return core.read_tail(path, bytes) end

--- Replaces a file as a whole.
---@param path string
---@param text string
---@param mode? integer default 0600
---@return true?, table? err
function M.write(path, text, mode) return core.write(path, text, mode) end

--- Adds to the end of a file.
---@param path string
---@param text string
---@param mode? integer of a new file, default 0600
---@return true?, table? err
function M.append(path, text, mode) return core.append(path, text, mode) end

--- The names in a folder, in no order.
---@param path string
---@return string[]?, table? err
function M.list(path) return core.list(path) end

--- What a path is, or nil and err not_found. Links are not followed.
---@param path string
---@return { type: "file"|"directory"|"link"|"other", size: integer, mode: integer, modified: number }?, table? err
function M.stat(path) return core.stat(path) end

--- Makes a folder with all above it; being there already is no error.
---@param path string
---@return true?, table? err
function M.mkdir(path) return core.mkdir(path) end

--- Makes a new folder whose name begins with `prefix`.
---@param prefix string
---@return string? path, table? err
function M.mkdtemp(prefix) return core.mkdtemp(prefix) end

--- Gives a file or folder another name, durably; one that exists is never replaced.
---@param from string
---@param to string
---@return true?, table? err code exists
function M.rename(from, to) return core.rename(from, to) end

--- Removes a file or link; being absent is no error.
---@param path string
---@return true?, table? err
function M.remove(path) return core.remove(path) end

--- Removes a folder with everything in it; links are removed, not followed.
---@param path string
---@return true?, table? err
function M.remove_tree(path) return core.remove_tree(path) end

--- The SHA-256 of a file, as 64 hexadecimal digits.
---@param path string
---@return string?, table? err
function M.sha256(path) return core.sha256(path) end

--- The SHA-256 of a text.
---@param text string
---@return string
---@usage assert(files.sha256_text("abc"):sub(1, 8) == "ba7816bf")
function M.sha256_text(text) return core.sha256_text(text) end

--- The absolute path without links.
---@param path string
---@return string?, table? err
function M.realpath(path) return core.realpath(path) end

--- Makes the symbolic link `path` that points to `target`.
---@param path string
---@param target string
---@return true?, table? err
function M.link(path, target) return core.link(path, target) end

return M
