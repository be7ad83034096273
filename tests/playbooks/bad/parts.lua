-- What a part does with what it is given.
return function(run, d)
  local venture = d.venture
  run.say("hi")
  run.say(run, "meant")
  d.shift(10)
  run:say(venture.ownr .. d.venture.owner .. venture.folder)
  if d.venture.canary.wach > run.venture.canary.watch then return end
  return venture.health[1].anything, venture.environment.env.ANYTHING, venture.nothing_like_it
end
-- expect 4:3 `run.say` say is a method of 'run', and is called with a dot
-- expect 6:3 `d.shift` shift is a method of 'd', and is called with a dot
-- expect 7:19 `ownr` venture.lua has no key 'ownr' here; did you mean 'owner'?
-- expect 8:23 `wach` venture.lua has no key 'wach' here; did you mean 'watch'?
-- expect 9:80 `nothing_like_it` venture.lua has no key 'nothing_like_it' here
