return function(run) run:say "nobody asks here" end
-- expect 1:1 `r` nothing uses this part: gates.lua stands beside the folder in which a part is looked for
