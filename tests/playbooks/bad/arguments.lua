-- Arguments that cannot be right.
local backup = require "backup"

return playbook {
  name = "arguments", abuot = "a typo",
  run = function(run)
    step("backup", function()
      expect(backup.take { database = run.venture.database.url, too = "x" })
      expect(backup.drill { backup = "b", database = "d", keep = "yes" })
      files.write "only a path"
      files.read(5)
      files.read("a", 1, "three")
      sleep "long"
      sleep(-1)
      process.stop({ pid = 1, started = 1.5 })
      task.map({}, function() end, { limit = 2.5 })
      shield(print, nil)
      local paths = { "x" }
      files.write(table.unpack(paths))
      fail("gate", "a message", { cause = "c" })
    end)
    step { "é", run = function() end, undoo = function() end }
    step { run = function() end }
  end,
}
-- expect 5:23 `abuot` playbook: there is no option 'abuot'; did you mean 'about'?
-- expect 8:26 `{` backup.take: 'to' is missing
-- expect 8:65 `too` backup.take: there is no option 'too'; did you mean 'to'?
-- expect 9:66 `"yes"` backup.drill: 'keep' must be a boolean, but is the string "yes"
-- expect 10:13 `write` files.write needs 'text'
-- expect 11:18 `5` files.read: 'path' must be a string, but is 5
-- expect 12:26 `"three"` files.read takes 2 arguments, but gets 3
-- expect 13:13 `"long"` sleep: 'seconds' must be a number, but is the string "long"
-- expect 15:41 `1.5` process.stop: 'started' must be a whole number, but is 1.5
-- expect 16:46 `2.5` task.map: 'limit' must be a whole number, but is 2.5
-- expect 22:39 `undoo` step: there is no option 'undoo'; did you mean 'undo'?
-- expect 23:10 `{` step: the text in front is missing
-- expect 9:21 `drill` backup.drill changes the world
-- expect 8:21 `take` backup.take changes the world
