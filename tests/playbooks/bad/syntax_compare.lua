if release = "4.9.0" then return end
-- expect 1:12 `=` 'then' expected near '='
