for _ = 1, 3 do goto continue end
-- expect 1:17 `goto continue` there is no label 'continue' that this goto can see
