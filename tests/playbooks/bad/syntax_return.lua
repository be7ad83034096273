return function(run)
  return 1
  step("after the return", function() end)
end
-- expect 3:3 `step` 'step' comes after `return`
