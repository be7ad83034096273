local é = "a string"
-- expect 1:7 `é` 'é' has no meaning in Lua
