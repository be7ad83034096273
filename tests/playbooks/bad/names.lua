-- Names that mean nothing.
local traffic = require "traffic"
local helth = require "helth"
local unused = require "json"
local gates = require "stage30.gates"

return playbook {
  name = "names",
  run = function(run, d)
    stpe("a word", function() end)
    traffic.sett { blue = 100 }
    table.concatt {}
    require("files").raed "x"
    run:sayy "hello"
    d:chek({}, "blue", "check")
    os.execute "ls"
    undeclared = helth
    local release = run.args.release
    return relaese, release, coroutine.running()
  end,
}
-- expect 3:23 `"helth"` there is no module 'helth'; did you mean 'health'?
-- expect 4:7 `unused` 'unused' is required and not used
-- expect 5:7 `gates` the part stage30.gates is never run: nothing calls 'gates'
-- expect 10:5 `stpe` there is no global 'stpe'; did you mean 'step'?
-- expect 11:13 `sett` traffic has no 'sett'
-- expect 12:11 `concatt` table has no 'concatt'; did you mean 'concat'?
-- expect 13:22 `raed` files has no 'raed'; did you mean 'read'?
-- expect 14:9 `sayy` the run 'run' has no method 'sayy'; did you mean 'say'?
-- expect 15:7 `chek` the deployment 'd' has no method 'chek'; did you mean 'check'?
-- expect 16:5 `os` 'os' is not available in a playbook
-- expect 17:5 `undeclared` 'undeclared' is not declared
-- expect 19:12 `relaese` there is no global 'relaese'; did you mean 'release'?
-- expect 19:30 `coroutine` 'coroutine' is not available in a playbook
