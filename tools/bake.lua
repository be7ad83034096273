-- Turns Lua files into one C table: path, bytes, size; and of the library its compiled chunk, so that a start parses nothing. Run by the Makefile;
-- writes to stdout. Paths are kept as given ("stdlib/health.lua"), sorted, so that the same tree bakes the same bytes.
local out = { '#include "host/baked.h"\n\n' }
local rows = {}

local function array(name, bytes)
  local cells = {}
  for at = 1, #bytes, 20 do
    local line = {}
    for _, byte in ipairs({ bytes:byte(at, math.min(at + 19, #bytes)) }) do line[#line + 1] = byte .. "," end
    cells[#cells + 1] = table.concat(line)
  end
  out[#out + 1] = ("static const unsigned char %s[] = {\n%s\n0};\n"):format(name, table.concat(cells, "\n"))
end

for i, path in ipairs(arg) do
  local f = assert(io.open(path, "rb"))
  local text = f:read("a")
  f:close()
  array("file_" .. i, text)
  local code
  if path:find "^stdlib/" then
    code = string.dump(assert(load(text, "@" .. path, "t")))
    array("code_" .. i, code)
  end
  rows[#rows + 1] = ('    {"%s", (const char *)file_%d, %d, %s, %d},\n'):format(path, i, #text, code and "(const char *)code_" .. i or "0", code and #code or 0)
end
out[#out + 1] = "\nconst struct baked_file baked_files[] = {\n" .. table.concat(rows) .. "    {0, 0, 0, 0, 0},\n};\n"
io.write(table.concat(out))
