return function(run) run:say "nobody calls this" end
-- expect 1:1 `r` the part stage30.gate is never reached: no playbook requires it; did you mean 'stage30.gates'?
