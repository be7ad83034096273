--- backup.restore_script: RESTORE.md and restore.sh, which restore a backup without the engine.

local M = {}

local HEAD = [[#!/bin/sh
# Restores this backup with sha256sum, zstd and %s alone.
# It refuses a backup that is not complete or whose files are not those that were written.
set -eu
cd "$(dirname "$0")"
fail() { echo "restore.sh: $*" >&2; exit 1; }
[ -f COMPLETE ] || fail "there is no COMPLETE: this is no finished backup"
[ "$(cat COMPLETE)" = "$(sha256sum SHA256SUMS manifest.json | cut -d' ' -f1)" ] || fail "SHA256SUMS, manifest.json or COMPLETE is not the one that was written"
[ "$(find . ! -type d | wc -l)" -eq %d ] || fail "there are missing or extra files"
sha256sum --quiet -c SHA256SUMS || fail "a file is damaged (see above)"
[ "${1:-}" != --check ] || exit 0
%s
]]

-- How the script reads a file.
local PLAIN = [[content() { zstd -q -dc "$@"; }]]
local ENCRYPTED = [[
[ -n "${PASSPHRASE_FILE:-}" ] || fail "the backup is encrypted: PASSPHRASE_FILE must name a file with the passphrase"
content() { for one; do openssl enc -d -aes-256-ctr -pbkdf2 -pass "file:$PASSPHRASE_FILE" -in "$one" | zstd -q -dc || return 1; done; }]]

local SQLITE = [[
[ $# -eq 1 ] || fail "usage: ./restore.sh NEW_DATABASE_FILE | --check"
[ ! -e "$1" ] || fail "$1 exists; give the name of a new file"
content database.sqlite.zst%s > "$1"
[ "$(sqlite3 "$1" 'PRAGMA integrity_check')" = ok ] || fail "$1 is not sound"
%s
echo "restored $1"
]]

local POSTGRES = [[
[ $# -eq 1 ] || fail "usage: ./restore.sh EMPTY_DATABASE_NAME_OR_URL | --check"
# Without the COMMIT at the end nothing was changed: so a part that cannot be read ends it all.
sql() { content "$1" || exit 1; }
rows() { content "$@" || exit 1; printf '%%s\n' '\.'; }
run() { psql -X -q -v ON_ERROR_STOP=1 -d "$1" ; }
{
  echo "BEGIN; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'; SET lc_monetary = 'C';"
  sql schema-pre.sql.zst%s
%s
  sql sequences.sql.zst%s
  sql schema-post.sql.zst%s
  echo 'COMMIT;'
  printf '%%s\n' '\echo all of it'
} | run "$1" | tail -1 | grep -qx 'all of it' || fail "it did not come to its end: nothing was changed in $1"
echo "restored into $1"
]]

--- A text as one word of a shell.
---@param text string
---@return string
---@usage assert(require("backup.restore_script").shell "it's" == "'it'\\''s'")
function M.shell(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local shell = M.shell

local function quoted(name) return '"' .. name:gsub('"', '""') .. '"' end

-- Every table is loaded and counted before COMMIT: a count that is wrong raises a division by zero, which undoes all.
local function postgres(manifest)
  local lines = {}
  for _, one in ipairs(manifest.database.tables) do
    if one.files[1] then
      local name = quoted(one.schema) .. "." .. quoted(one.table_name)
      lines[#lines + 1] = ("  echo %s"):format(shell(("COPY %s (%s) FROM STDIN;"):format(name, one.columns)))
      lines[#lines + 1] = "  rows " .. table.concat(one.files, " ")
      lines[#lines + 1] = ("  echo %s"):format(shell(("SELECT 1 / (count(*) = %d)::int FROM ONLY %s%s;"):format(one.rows, name, one.condition and " " .. one.condition or "")))
    end
  end
  local suffix = manifest.encryption and ".enc" or ""
  local large = "large-objects.sql.zst" .. suffix
  if manifest.files[large] then lines[#lines + 1] = ("  (content %s || echo '\\quit') | sed '/^BEGIN;$/d; /^COMMIT;$/d'"):format(large) end
  return POSTGRES:format(suffix, table.concat(lines, "\n"), suffix, suffix)
end

local function sqlite(manifest)
  local lines = {}
  for _, one in ipairs(manifest.database.tables) do
    lines[#lines + 1] = ("[ \"$(sqlite3 \"$1\" %s)\" = %d ] || fail %s"):format(shell("SELECT count(*) FROM " .. quoted(one.name)), one.rows, shell("table " .. one.name .. " has another number of rows"))
  end
  return SQLITE:format(manifest.encryption and ".enc" or "", table.concat(lines, "\n"))
end

--- The script.
---@param manifest table
---@param file_count integer files that the finished backup has
---@return string
function M.script(manifest, file_count)
  local reader = manifest.encryption and ENCRYPTED or PLAIN
  if not manifest.database then return HEAD:format("tar", file_count, "") .. "echo 'files: see RESTORE.md'\n" end
  local is_sqlite = manifest.database.info.format == "sqlite"
  return HEAD:format(is_sqlite and "sqlite3" or "psql", file_count, reader) .. (is_sqlite and sqlite(manifest) or postgres(manifest))
end

local PROVIDERS = { i = "icu", b = "builtin" }

local function createdb_options(info)
  local options = ("--template=template0 --encoding=%s --lc-collate=%s --lc-ctype=%s"):format(shell(info.encoding), shell(info.collate), shell(info.ctype))
  local provider = PROVIDERS[info.provider]
  return provider and ("%s --locale-provider=%s --%s-locale=%s"):format(options, provider, provider, shell(info.locale)) or options
end

--- The instructions.
function M.readme(manifest)
  local lines = { "# Backup " .. manifest.id, "", "Taken " .. manifest.taken_at .. ". It can be restored without the engine:", "",
    "1. `./restore.sh --check` proves that every file is the one that was written." }
  if manifest.database then
    lines[#lines + 1] = manifest.database.info.format == "sqlite" and "2. `./restore.sh /path/new.db` makes the database file."
      or ("2. `createdb %s NAME && ./restore.sh NAME` fills an empty database; connection settings come from PGHOST, PGPORT, PGUSER."):format(createdb_options(manifest.database.info))
  end
  if manifest.encryption then
    lines[#lines + 1] = "- The data is encrypted. PASSPHRASE_FILE must name a file that holds the passphrase. By hand: `openssl enc -d -aes-256-ctr -pbkdf2 -pass file:FILE -in NAME.enc`."
    lines[#lines + 1] = "- What hides is not what proves: names, sizes and checksums are readable, and only SHA256SUMS says that nothing was changed. Keep its hash elsewhere."
  end
  for _, tree in ipairs(manifest.trees or {}) do
    local reader = manifest.encryption and ("openssl enc -d -aes-256-ctr -pbkdf2 -pass file:FILE -in %s | zstd -dc"):format(tree.file) or "zstd -dc " .. tree.file
    lines[#lines + 1] = ("- `%s | tar -xf - -C DIR` restores the files of `%s`."):format(reader, (tree.path:gsub("[%c`]", "?")))
  end
  return table.concat(lines, "\n") .. "\n"
end

return M
