local M = {}

function M.run() end

return M
-- expect 1:11 `{}` this takes the place of playbooks/stage30/exit_gate.lua and must return a function of run and d
