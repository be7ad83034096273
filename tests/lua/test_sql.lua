local t = require "test"
local sql = require "sql"
local task = require "task"

local function memory() return assert(sql.open("sqlite::memory:", { timeout = 5 })) end

t.case("values keep their types", function()
  local db <close> = memory()
  assert(db:execute "CREATE TABLE v (b BOOLEAN, i INTEGER, r REAL, s TEXT, x BLOB, n TEXT)")
  local done = assert(db:query("INSERT INTO v VALUES ($1, $2, $3, $4, $5, $6)", true, -9007199254740993, 1.5, "grün ✓", sql.blob "\0\1\255", sql.null))
  t.eq(done.affected, 1)
  local row = assert(db:one "SELECT * FROM v")
  t.eq(row.b, true)
  t.eq(row.i, -9007199254740993)
  t.eq(math.type(row.r), "float")
  t.eq(row.s, "grün ✓")
  t.eq(row.x, "\0\1\255")
  t.eq(row.n, nil)
  local rows = assert(db:query "SELECT i, r FROM v WHERE 0")
  t.eq(#rows, 0)
  t.eq(rows.columns, { "i", "r" })
  t.eq(rows.affected, 0)
end)

t.case("parameters may repeat and come in any order", function()
  local db <close> = memory()
  local row = assert(db:one("SELECT $2 AS second, $1 AS first, $2 AS again, '$3' AS text -- $4", "a", "b"))
  t.eq({ row.first, row.second, row.again, row.text }, { "a", "b", "b", "$3" })
  local rows, err = db:query("SELECT $1", 1, 2)
  t.err(rows, err, "sql")
  rows, err = db:query("SELECT $2", 1)
  t.err(rows, err, "sql")
  rows, err = db:query("SELECT :name", 1)
  t.err(rows, err, "sql")
end)

t.case("misuse raises", function()
  local db <close> = memory()
  t.raises(function() db:query("SELECT $1", nil) end, "sql.null")
  t.raises(function() db:query("SELECT $1", {}) end, "table")
  t.raises(function() sql.open("sqlite::memory:", { timeout = -1 }) end, "timeout")
  t.raises(function() db:transaction(function() db:query "SELECT 1" end) end, "use tx")
  t.raises(function() db:transaction(function(tx) tx:transaction(print) end) end, "inside a transaction")
end)

t.case("errors carry the code name and the statement", function()
  local db <close> = memory()
  assert(db:execute "CREATE TABLE a (x INTEGER PRIMARY KEY); CREATE TABLE b (a INTEGER REFERENCES a (x))")
  assert(db:query("INSERT INTO a VALUES (1)"))
  local rows, err = db:query("INSERT INTO a VALUES ($1)", 1)
  t.err(rows, err, "sql")
  t.eq(err.sqlstate, "SQLITE_CONSTRAINT_PRIMARYKEY")
  rows, err = db:query("INSERT INTO b VALUES ($1)", 9)
  t.err(rows, err, "sql")
  t.eq(err.sqlstate, "SQLITE_CONSTRAINT_FOREIGNKEY")
  local ok
  ok, err = db:execute "INSERT INTO a VALUES (2);\n-- a comment; with a semicolon\nINSERT INTO a VALUES (';');\nSELEC 1; SELECT 2"
  t.err(ok, err, "sql")
  t.eq(err.statement, 2)
  t.ok(err.message:find("statement 2", 1, true), err.message)
  t.eq(db:value "SELECT count(*) FROM a", 2)
  rows, err = db:query "SELECT 1; SELECT 2"
  t.err(rows, err, "sql")
end)

t.case("one, value and not_found", function()
  local db <close> = memory()
  t.eq(db:value("SELECT $1 + 1", 41), 42)
  local value, err = db:value "SELECT NULL"
  t.eq(value, nil)
  t.eq(err, nil)
  value, err = db:value "SELECT 1 WHERE 0"
  t.err(value, err, "not_found")
  value, err = db:one "SELECT 1 WHERE 0"
  t.err(value, err, "not_found")
  value, err = sql.pool_use(db)
  t.err(value, err, "not_found")
end)

t.case("a transaction commits or leaves nothing", function()
  local db <close> = memory()
  assert(db:execute "CREATE TABLE a (x INTEGER UNIQUE)")
  t.eq(db:transaction(function(tx) assert(tx:query("INSERT INTO a VALUES ($1)", 1)) end), true)
  local ok, err = db:transaction(function(tx)
    assert(tx:query("INSERT INTO a VALUES ($1)", 2))
    assert(tx:query("INSERT INTO a VALUES ($1)", 1))
  end)
  t.err(ok, err, "sql")
  ok, err = db:transaction(function(tx)
    assert(tx:query("INSERT INTO a VALUES ($1)", 3))
    return tx:query "SELEC"
  end)
  t.err(ok, err, "sql")
  t.raises(function()
    db:transaction(function(tx)
      assert(tx:query("INSERT INTO a VALUES ($1)", 4))
      error "a mistake"
    end)
  end, "a mistake")
  t.eq(db:value "SELECT group_concat(x) FROM a", "1")
  local kept
  assert(db:transaction(function(tx) kept = tx end))
  ok, err = kept:query "SELECT 1"
  t.err(ok, err, "closed")
end)

t.case("a canceled transaction is rolled back before anything else runs", function()
  local db <close> = memory()
  assert(db:execute "CREATE TABLE a (x INTEGER)")
  t.raises(function()
    deadline(0.05, function()
      db:transaction(function(tx)
        assert(tx:query "INSERT INTO a VALUES (1)")
        sleep(60)
      end)
    end)
  end, "deadline")
  t.eq(db:value "SELECT count(*) FROM a", 0)
end)

t.case("tasks share a connection in turn, a transaction keeps it", function()
  local db <close> = memory()
  assert(db:execute "CREATE TABLE a (x INTEGER)")
  local counts = parallel {
    function()
      return assert(db:transaction(function(tx)
        assert(tx:query "INSERT INTO a VALUES (1)")
        sleep(0.02)
        assert(tx:query "INSERT INTO a VALUES (2)")
        return tx:value "SELECT count(*) FROM a"
      end))
    end,
    function() sleep(0.005) return assert(db:value "SELECT count(*) FROM a") end,
    function() sleep(0.005) return assert(db:value "SELECT count(*) FROM a") end,
  }
  t.eq(counts, { 2, 2, 2 })
end)

t.case("a long statement ends at its time limit and the connection goes on", function()
  local db <close> = memory()
  local rows, err = db:within(0.05):query "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
  t.err(rows, err, "timeout")
  t.eq(db:value "SELECT 5", 5)
  t.raises(function()
    deadline(0.05, function() db:query "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n" end)
  end, "deadline")
  t.eq(db:value "SELECT 6", 6)
end)

t.case("many rows arrive complete", function()
  local db <close> = memory()
  local rows = assert(db:query "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 50000) SELECT x, 'row ' || x AS name FROM n")
  t.eq(#rows, 50000)
  t.eq(rows[50000].name, "row 50000")
end)

t.case("a closed connection says so", function()
  local db = memory()
  db:close()
  db:close()
  local rows, err = db:query "SELECT 1"
  t.err(rows, err, "closed")
end)

t.case("addresses that lead nowhere", function()
  local db, err = sql.open "mysql://root@localhost/x"
  t.err(db, err, "usage")
  db, err = sql.open "sqlite:/nonexistent/folder/file.db"
  t.err(db, err, "connect")
  db, err = sql.open "postgres://app:hunter22@127.0.0.1:1/shop?connect_timeout=2"
  t.err(db, err, "connect")
  t.ok(not tostring(err):find("hunter22", 1, true), tostring(err))
  db, err = sql.open "postgres://app:hunter%zz22@127.0.0.1/shop"
  t.err(db, err, "usage")
  t.ok(not tostring(err):find("hunter", 1, true), tostring(err))
end)

t.case("a task that waits for a transaction gives up at its limit", function()
  local db <close> = memory()
  task.parallel {
    function() assert(db:transaction(function() sleep(0.2) end)) end,
    function()
      sleep(0.01)
      local rows, err = db:within(0.02):query "SELECT 1"
      t.err(rows, err, "timeout")
      t.ok(err.message:find "transaction", err.message)
    end,
  }
end)

t.case("a secret serves as an address and as a parameter", function()
  local secret = require "core.secret"
  local db <close> = assert(sql.open(secret.wrap("sqlite::memory:", "address")))
  t.eq(db:value("SELECT length($1)", secret.wrap("swordfish", "word")), 9)
end)

t.case("a batch is done whole, or not at all", function()
  local db <close> = t.ok(sql.open "sqlite::memory:")
  t.ok(db:execute "CREATE TABLE t (x integer PRIMARY KEY, y text)")
  t.eq(db:batch { { "INSERT INTO t VALUES ($2, $1)", "a", 1 }, { "INSERT INTO t VALUES ($1, $2)", 2, sql.null }, { "UPDATE t SET y = $1 WHERE x > 0", "b" } }, 4)
  t.eq(db:query "SELECT * FROM t ORDER BY x"[2], { x = 2, y = "b" })
  t.eq(db:batch { { "UPDATE t SET y = 'c' WHERE x = $1", 9 }, { "DELETE FROM t WHERE x = $1", 1 } }, 0, "the first affects none")
  t.eq(db:value "SELECT count(*) FROM t", 2)
  local done, err = db:batch { { "INSERT INTO t VALUES ($1, NULL)", 3 }, { "INSERT INTO t VALUES ($1, NULL)", 1 } }
  err = t.err(done, err, "sql")
  t.eq({ err.sqlstate, err.statement }, { "SQLITE_CONSTRAINT_PRIMARYKEY", 2 })
  done, err = db:batch { { "INSERT INTO t VALUES ($1, NULL)", 3, 4 }, { "DELETE FROM t" } }
  t.err(done, err, "sql")
  done, err = db:batch { { "INSERT INTO t VALUES ($1, $2)", 3 } }
  t.err(done, err, "sql")
  t.eq(db:value "SELECT max(x) FROM t", 2, "nothing of those that failed")
  t.ok(db:transaction(function(tx)
    t.raises(function() tx:batch { { "DELETE FROM t" } } end, "transaction of its own")
    return true
  end))
end)

t.case("statements that are kept follow the schema, and are parted from longer ones", function()
  local db <close> = t.ok(sql.open "sqlite::memory:")
  t.ok(db:execute "CREATE TABLE t (x integer)")
  for i = 1, 3 do t.ok(db:query("INSERT INTO t VALUES ($1)", i)) end
  t.eq(db:one("SELECT * FROM t WHERE x = $1", 2), { x = 2 })
  t.ok(db:execute "ALTER TABLE t ADD COLUMN y text DEFAULT 'new'")
  t.eq(db:one("SELECT * FROM t WHERE x = $1", 2), { x = 2, y = "new" })
  t.eq(db:one("SELECT * FROM t WHERE x = $1 + $2", 1, 1).x, 2)
  t.ok(db:execute "DROP TABLE t")
  local row, err = db:one("SELECT * FROM t WHERE x = $1", 2)
  t.err(row, err, "sql")
  -- More different ones than are kept, twice.
  for _ = 1, 2 do
    for i = 1, 80 do t.eq(db:value(("SELECT $1 + %d"):format(i), i), 2 * i) end
  end
end)
