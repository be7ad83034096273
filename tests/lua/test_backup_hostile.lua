-- Backups that somebody else wrote: sealed as a backup is, with sums that are right, and hostile inside.

local t = require "test"
local json = require "json"
local manifests = require "backup.manifest"

-- The sums and the seal again, as take writes them: the attacker knows how.
local function reseal(folder)
  local lines = {}
  local function add(prefix)
    for _, name in ipairs(files.list(folder .. "/" .. prefix)) do
      local stat = files.stat(folder .. "/" .. prefix .. name)
      if stat.type == "directory" then
        add(prefix .. name .. "/")
      elseif stat.type == "file" and name ~= "SHA256SUMS" and name ~= "COMPLETE" then
        lines[#lines + 1] = files.sha256(folder .. "/" .. prefix .. name) .. "  " .. prefix .. name
      end
    end
  end
  add ""
  local sums = table.concat(lines, "\n") .. "\n"
  t.ok(files.write(folder .. "/SHA256SUMS", sums))
  t.ok(files.write(folder .. "/COMPLETE", files.sha256_text(sums) .. "\n" .. files.sha256(folder .. "/manifest.json") .. "\n"))
end

local function change_manifest(folder, change)
  local manifest = t.ok(json.decode(t.ok(files.read(folder .. "/manifest.json"))))
  local text = change(manifest)
  t.ok(files.write(folder .. "/manifest.json", text or json.encode(manifest)))
end

local function in_manifest(change) return function(folder) change_manifest(folder, change) end end

local DATA = "database.sqlite.zst"

local function rename_file(manifest, to)
  manifest.files[to], manifest.files[DATA] = manifest.files[DATA], nil
end

-- name, what is done to the backup, words of the refusal; a fourth value: it passes verify, and the drill refuses it.
local HOSTILE = {
  { "a file in the parent folder", in_manifest(function(m) rename_file(m, "../../etc/passwd") end), "leads out of the backup" },
  { "an absolute file", in_manifest(function(m) rename_file(m, "/etc/passwd") end), "leads out of the backup" },
  { "a name with an empty part", in_manifest(function(m) rename_file(m, "data//x") end), "leads out of the backup" },
  { "a name with a line break", in_manifest(function(m) rename_file(m, "a\nb") end), "leads out of the backup" },
  { "a link instead of a file", function(folder)
    t.ok(files.rename(folder .. "/" .. DATA, folder .. "/../outside"))
    t.ok(files.link(folder .. "/" .. DATA, folder .. "/../outside"))
    return "no reseal"
  end, "is no plain file" },
  { "a link instead of a folder", function(folder) t.ok(files.link(folder .. "/data", "/etc")) end, "data does not belong to it" },
  { "a pipe that would be read for ever", function(folder)
    t.ok(files.remove(folder .. "/RESTORE.md"))
    t.eq(process.run { argv = { "mkfifo", folder .. "/RESTORE.md" } }.code, 0)
    return "no reseal"
  end, "RESTORE.md is no plain file" },
  { "another version", in_manifest(function(m) m.version = 99 end), "version 99" },
  { "no JSON", in_manifest(function() return "{ not json" end), "is no manifest" },
  { "JSON, but no manifest", in_manifest(function() return "[1, 2, 3]" end), "version nil" },
  { "JSON that is nested without end", in_manifest(function() return ("["):rep(100000) end), "is no manifest" },
  { "an id that is a path", in_manifest(function(m) m.id = "../../../tmp/x" end), "its id is none" },
  { "another hash in the manifest than in the sums", in_manifest(function(m) m.files[DATA].sha256 = ("0"):rep(64) end), "another hash than in SHA256SUMS" },
  { "a table without rows", in_manifest(function(m) m.database.tables[1].rows = -1 end), "a table has no name, number of rows or checksum" },
  { "another kind of database", in_manifest(function(m) m.database.info.format = "mongodb" end), "kind 'mongodb'" },
  { "an unknown cipher", in_manifest(function(m) m.encryption = "rot13" end), "encrypted with 'rot13'" },
  { "a table that the database does not have", in_manifest(function(m) m.database.tables[1].name = 'x"; DROP TABLE people; --' end), "checksum", "drill" },
  { "a small file that becomes a large one", function(folder)
    t.eq(process.run { argv = { "sh", "-c", "head -c 300000000 /dev/zero | zstd -q -f -o " .. folder .. "/" .. DATA } }.code, 0)
    change_manifest(folder, function(m) m.files[DATA].sha256 = files.sha256(folder .. "/" .. DATA) end)
  end, "holds more than the", "drill" },
  { "bytes that zstd does not know", function(folder)
    t.ok(files.write(folder .. "/" .. DATA, ("x"):rep(1000)))
    change_manifest(folder, function(m) m.files[DATA].sha256 = files.sha256(folder .. "/" .. DATA) end)
  end, "is damaged", "drill" },
  { "a pipe in place of COMPLETE", function(folder)
    t.ok(files.remove(folder .. "/COMPLETE"))
    t.eq(process.run { argv = { "mkfifo", folder .. "/COMPLETE" } }.code, 0)
    return "no reseal"
  end, "COMPLETE is no plain file" },
  { "a device in place of SHA256SUMS", function(folder)
    t.ok(files.remove(folder .. "/SHA256SUMS"))
    t.ok(files.link(folder .. "/SHA256SUMS", "/dev/zero"))
    return "no reseal"
  end, "SHA256SUMS is no plain file" },
  { "COMPLETE of another backup", function(folder)
    t.ok(files.write(folder .. "/COMPLETE", ("0"):rep(64) .. "\n" .. ("1"):rep(64) .. "\n"))
    return "no reseal"
  end, "is not the one that was written" },
  { "COMPLETE that names another manifest", function(folder)
    t.ok(files.write(folder .. "/COMPLETE", files.sha256(folder .. "/SHA256SUMS") .. "\n" .. ("1"):rep(64) .. "\n"))
    return "no reseal"
  end, "COMPLETE names another manifest.json" },
  { "a file that stands twice in the sums", function(folder)
    local sums = files.read(folder .. "/SHA256SUMS")
    t.ok(files.write(folder .. "/SHA256SUMS", sums .. sums:match "[^\n]+\n"))
    t.ok(files.write(folder .. "/COMPLETE", files.sha256(folder .. "/SHA256SUMS") .. "\n" .. files.sha256(folder .. "/manifest.json") .. "\n"))
    return "no reseal"
  end, "is missing" },
  { "a file whose name has a line break, which the sums cannot name", function(folder) t.ok(files.write(folder .. "/a\nb", "x")) end, "does not belong to it" },
  { "a time that is none, which would stop every prune", in_manifest(function(m) m.taken_at = "soon" end), "does not say when" },
  { "file trees that are no list", in_manifest(function(m) m.trees = "all" end), "no list of file trees" },
  { "tables that are no list", in_manifest(function(m) m.database.tables = "all" end), "the database is not described" },
  { "a size that is no whole number", in_manifest(function(m) m.files[DATA].raw_bytes = 1.5 end), "has no size or hash" },
  { "a number of rows beyond all numbers", in_manifest(function(m) m.database.tables[1].rows = 1e300 end), "a table has no name, number of rows or checksum" },
  { "a size that no disk has", in_manifest(function(m) m.files[DATA].raw_bytes = math.maxinteger end), "has room for", "drill" },
  { "a zstd window of two gigabytes", function(folder)
    t.eq(process.run { argv = { "sh", "-c", "head -c 1000000 /dev/zero | zstd -q -f --ultra -22 --long=31 -o " .. folder .. "/" .. DATA } }.code, 0)
    change_manifest(folder, function(m) m.files[DATA].sha256 = files.sha256(folder .. "/" .. DATA) end)
  end, "", "drill" },
}

t.case("hostile backups are refused by name, and nothing is changed", function()
  local folder = t.ok(files.mkdtemp "/tmp/engine-test-")
  local cleanup <close> = setmetatable({}, { __close = function() files.remove_tree(folder) end })
  local url = "sqlite:" .. folder .. "/live.db"
  local db <close> = t.ok(sql.open(url))
  t.ok(db:execute "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO people VALUES (1, 'a'), (2, 'b')")
  local taken = t.ok(backup.take { database = url, to = folder .. "/backups" })
  for _, hostile in ipairs(HOSTILE) do
    local name, harm, words, by_drill = table.unpack(hostile)
    local copy = folder .. "/hostile"
    t.ok(files.remove_tree(copy))
    t.eq(process.run { argv = { "cp", "-r", taken.path, copy } }.code, 0)
    if harm(copy) ~= "no reseal" then reseal(copy) end
    local ok, err = backup.verify(copy)
    t.ok((ok ~= nil) == (by_drill ~= nil), name .. ": " .. (err and err.message or "passes verify"))
    if by_drill then ok, err = backup.drill { backup = copy, database = url } end
    t.ok(not ok, name .. " was let through")
    t.has(err.message .. " " .. tostring(err.cause or ""), words)
    for _, left in ipairs(files.list(folder)) do t.ok(not left:find "restore%-", name .. " left " .. left) end
  end
  local ok, err = backup.verify(taken.path, ("0"):rep(64))
  t.err(ok, err, "backup_corrupt")
  t.has(err.message, "another backup than the one that was taken")
  ok, err = backup.drill { backup = taken.path, database = url, checksum = ("0"):rep(64) }
  t.err(ok, err, "backup_corrupt")
  t.ok(backup.drill { backup = taken.path, database = url, checksum = taken.checksum })
  t.eq(db:value "SELECT count(*) FROM people", 2)
end)

t.case("restore.sh takes a link for an extra file", function()
  local folder = t.ok(files.mkdtemp "/tmp/engine-test-")
  local cleanup <close> = setmetatable({}, { __close = function() files.remove_tree(folder) end })
  local db <close> = t.ok(sql.open("sqlite:" .. folder .. "/live.db"))
  t.ok(db:execute "CREATE TABLE people (id INTEGER PRIMARY KEY)")
  local taken = t.ok(backup.take { database = "sqlite:" .. folder .. "/live.db", to = folder .. "/backups" })
  t.eq(process.run { argv = { taken.path .. "/restore.sh", "--check" } }.code, 0)
  t.ok(files.link(taken.path .. "/large-objects.sql.zst", "/etc/hostname"))
  local checked = process.run { argv = { taken.path .. "/restore.sh", "--check" } }
  t.eq(checked.code, 1)
  t.has(checked.stderr, "missing or extra files")
end)

t.case("what lies beside backups stops neither a take nor a list", function()
  local folder = t.ok(files.mkdtemp "/tmp/engine-test-")
  local cleanup <close> = setmetatable({}, { __close = function() files.remove_tree(folder) end })
  local url = "sqlite:" .. folder .. "/live.db"
  local db <close> = t.ok(sql.open(url))
  t.ok(db:execute "CREATE TABLE people (id INTEGER PRIMARY KEY)")
  local to = folder .. "/backups"
  t.ok(files.mkdir(to .. "/strange"))
  t.ok(files.mkdir(folder .. "/strange.partial"))
  t.ok(files.write(to .. "/strange/COMPLETE", "x"))
  t.eq(process.run { argv = { "mkfifo", to .. "/strange/manifest.json", to .. "/pipe.taking" } }.code, 0)
  t.ok(files.write(to .. "/a.taking", "[[[["))
  t.ok(files.write(to .. "/b.taking", json.encode { host = require("host").name(), pid = "x", started = {} }))
  t.ok(files.write(to .. "/..taking", json.encode { host = require("host").name(), pid = 1 << 30, started = 1 }))
  t.ok(backup.take { database = url, to = to })
  t.eq(#t.ok(backup.list(to)), 1)
  t.eq(#t.ok(require("backup.retention").prune { to = to, last = 1 }).removed, 0)
  for _, id in ipairs { "../escape", "a/b", "", ".", "-x", "a b", ("x"):rep(101) } do
    t.raises(function() backup.take { database = url, to = to, id = id } end, "an id of a backup has letters")
  end
  t.eq(files.stat(folder .. "/escape"), nil)
  t.ok(files.stat(folder .. "/strange.partial"))
end)

t.case("what becomes part of a COPY statement is a list of names and nothing else", function()
  for _, good in ipairs { "", "id", "id, name", '"A b", x1, "c""d", _u', '"a, b", "c)"', "größe" } do t.ok(manifests.is_columns(good), good) end
  for _, bad in ipairs { "id) FROM PROGRAM 'touch /tmp/x'; --", "id,name", "id, ", '"open', 'a"b', "a b", "Id", "id -- x", '"a" "b"', ", id", "id;" } do t.ok(not manifests.is_columns(bad), bad) end
  for _, good in ipairs { "a", "data/a.zst", "data/..a", "a b" } do t.ok(manifests.is_inside(good), good) end
  for _, bad in ipairs { "", "/a", "..", "a/../b", "./a", "a//b", "a/", "a\0b", "a\nb", "a\\b" } do t.ok(not manifests.is_inside(bad), bad) end
end)

t.case("words of a shell and of SQL end where they should", function()
  local tables_of, shell = require "backup.postgres_tables", require("backup.restore_script").shell
  for _, text in ipairs { "x'; touch /tmp/x; '", "$(touch x)", "a\nb", "\\'", "`x`", "" } do
    t.eq(process.run { argv = { "sh", "-c", "printf %s " .. shell(text) } }.stdout, text)
  end
  t.eq(tables_of.literal "a\\'b", " E'a\\\\''b'")
  t.eq(tables_of.full_name("a", "b.c"), 'a."b.c"')
  t.ok(tables_of.full_name("a.b", "c") ~= tables_of.full_name("a", "b.c"))
end)

t.case("a backup of one kind of database is not restored into another", function()
  local folder = t.ok(files.mkdtemp "/tmp/engine-test-")
  local cleanup <close> = setmetatable({}, { __close = function() files.remove_tree(folder) end })
  local url = "sqlite:" .. folder .. "/live.db"
  local db <close> = t.ok(sql.open(url))
  t.ok(db:execute "CREATE TABLE people (id INTEGER PRIMARY KEY)")
  local taken = t.ok(backup.take { database = url, to = folder .. "/backups" })
  local ok, err = backup.drill { backup = taken.path, database = "postgres://127.0.0.1:1/x" }
  t.err(ok, err, "usage")
  t.has(err.message, "is a backup of sqlite, the database is postgres")
end)
