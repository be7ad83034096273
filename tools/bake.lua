-- Turns Lua files into one C table: path, bytes, size. Run by the Makefile; writes to stdout.
-- Paths are kept as given ("stdlib/health.lua"), sorted, so that the same tree bakes the same bytes.
local out = { '#include "host/baked.h"\n\n' }
local rows = {}
for i, path in ipairs(arg) do
  local f = assert(io.open(path, "rb"))
  local text = f:read("a")
  f:close()
  local cells = {}
  for at = 1, #text, 20 do
    local line = {}
    for _, byte in ipairs({ text:byte(at, math.min(at + 19, #text)) }) do line[#line + 1] = byte .. "," end
    cells[#cells + 1] = table.concat(line)
  end
  out[#out + 1] = ("static const unsigned char file_%d[] = {\n%s\n0};\n"):format(i, table.concat(cells, "\n"))
  rows[#rows + 1] = ('    {"%s", (const char *)file_%d, %d},\n'):format(path, i, #text)
end
out[#out + 1] = "\nconst struct baked_file baked_files[] = {\n" .. table.concat(rows) .. "    {0, 0, 0},\n};\n"
io.write(table.concat(out))
