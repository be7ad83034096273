-- What an incremental backup goes by, without a server: the proof's arithmetic, and manifests that do not add up.

local t = require "test"
local json = require "json"
local manifests = require "backup.manifest"
local unchanged = require "backup.postgres_unchanged"

local ZERO = ("0"):rep(32)

local function piece(file, rows, from, to) return { file = file, rows = rows, checksum = ZERO:sub(1, -2) .. rows, from_block = from, to_block = to } end

local function past(snapshot, pieces)
  return { id = "past", database = { info = { origin = "o", current_snapshot = snapshot }, tables = { { identity = "i", pieces = pieces or {} }, { identity = nil, pieces = pieces } } } }
end

t.case("an earlier backup counts for the same server, less than 2^30 transactions later", function()
  local function earlier(before, now, origin) return unchanged.earlier(past(before), { origin = origin, current_snapshot = now }) end
  t.eq(t.ok(earlier("700:710:703", "900:900:", "o")).oldest, 700)
  t.ok(earlier("4294967290:4294967290:", "4294967400:4294967400:", "o"))
  t.ok(earlier("700:710:", ("%d:%d:"):format(700 + (1 << 30) - 1, 700 + (1 << 30) - 1), "o"))
  for _, refused in ipairs { { "700:710:", ("900:%d:"):format(700 + (1 << 30)), "o" }, { "700:710:", "600:600:", "o" }, { "700:710:", "900:900:", "other" }, { "700:710:", "900:900:" } } do
    local none, why = earlier(table.unpack(refused, 1, 3))
    t.ok(not none and why)
  end
end)

t.case("a piece is compared with the one that began where it begins and had at least its room", function()
  local earlier = unchanged.earlier(past("7:7:", { piece("a", 1, 0, 8), piece("b", 2, 8, 16), piece("c", 3, 16) }), { origin = "o", current_snapshot = "9:9:" })
  local function candidate(identity, pieces, index, chunk_blocks)
    local found = unchanged.candidate(earlier, { table = { identity = identity, pieces = pieces, chunk_blocks = chunk_blocks or 8 }, index = index })
    return found and found.file
  end
  t.eq(candidate("i", 3, 1), "a")
  t.eq(candidate("i", 3, 3), "c")
  t.eq(candidate("i", 4, 3), "c", "the last had no end: it had the room of this one, too")
  t.eq(candidate("i", 4, 4), nil)
  t.eq(candidate("i", 2, 2), nil, "it has no end and may have rows that b had not")
  t.eq(candidate("i", 1, 1), nil)
  t.eq(candidate("i", 3, 2, 16), "c")
  t.eq(candidate("i", 3, 1, 16), nil, "the earlier one was smaller")
  t.eq(candidate("i", 6, 1, 4), "a", "all its rows must be in the half, then it is right")
  t.eq(candidate("j", 3, 1), nil)
  t.eq(candidate(nil, 3, 1), nil)
end)

t.case("transaction numbers are asked for modulo 2^32", function()
  local one = { table = { schema = "s", name = "t", pieces = 2, chunk_blocks = 8 }, index = 1 }
  local text = unchanged.question(one, { rows = 12 }, (1 << 32) + 5)
  t.has(text, "age('5'::xid)")
  t.has(text, [[FROM ONLY "s"."t" WHERE ctid >= '(0,0)'::tid AND ctid < '(8,0)'::tid]])
  t.has(text, "rows = 12 AND old = 12")
end)

-- A manifest of two pieces, changed by fn, is read.
local function read(fn)
  local folder = t.ok(files.mkdtemp "/tmp/engine-test-")
  local cleanup <close> = setmetatable({}, { __close = function() files.remove_tree(folder) end })
  local manifest = { version = manifests.VERSION, id = "a", taken_at = "2026-11-24T00:00:00.000Z", files = {}, trees = json.array {}, database = {
    info = { format = "postgres", encoding = "UTF8", collate = "C", ctype = "C", large_objects = { count = 0, checksum = "" }, current_snapshot = "7:7:", origin = "o" },
    tables = { { name = "s.t", schema = "s", table_name = "t", columns = "a", identity = "i", rows = 5, checksum = ZERO:sub(1, -2) .. "5", files = { "data/a", "data/b" }, pieces = { piece("data/a", 2, 0, 8), piece("data/b", 3, 8) } } },
  } }
  for _, name in ipairs { "data/a", "data/b", "schema-pre.sql.zst", "schema-post.sql.zst", "schema.dump.zst", "sequences.sql.zst" } do manifest.files[name] = { bytes = 1, raw_bytes = 1, sha256 = ("0"):rep(64) } end
  fn(manifest.database.tables[1], manifest.database.info)
  t.ok(files.write(folder .. "/manifest.json", json.encode(manifest)))
  return manifests.read(folder)
end

t.case("pieces are believed only if they are the table", function()
  t.ok(read(function() end))
  t.ok(read(function(one) one.identity, one.pieces = nil, nil end), "a backup from before there were any")
  local refused = {
    { "no list of pieces", function(one) one.pieces = nil end },
    { "no identity", function(one) one.identity = 5 end },
    { "its origin is none", function(_, info) info.origin = "" end },
    { "its origin is none", function(_, info) info.current_snapshot = nil end },
    { "not what its pieces are together", function(one) one.pieces[2].rows = 4 end },
    { "not what its pieces are together", function(one) one.pieces[2].checksum = ZERO end },
    { "not side by side", function(one) one.pieces[2].to_block = 8 end },
    { "not side by side", function(one) one.pieces[1].to_block = nil end },
    { "not side by side", function(one) one.pieces[2].from_block = 16 end },
    { "not side by side", function(one) one.pieces[1].from_block = "0" end },
    { "no file", function(one) one.pieces[1].file = "data/b" end },
    { "no file", function(one) one.pieces[1].file = "../../etc/passwd" end },
    { "no file", function(one) one.pieces[1].rows = -1 end },
    { "no file", function(one) one.pieces[1] = 7 end },
    { "not what its pieces are together", function(one) one.pieces[2], one.pieces[1].to_block, one.pieces[1].rows, one.pieces[1].checksum = nil, nil, 5, one.checksum end },
  }
  for i, case in ipairs(refused) do
    local manifest, err = read(case[2])
    if t.err(manifest, err, "backup_corrupt") then t.has(err.message, case[1], "case " .. i) end
  end
end)
