-- tools/sim_serve.lua SCRIPT [ARGUMENT...]: runs a script that returns a world of cql.sim, and
-- serves it until the process is interrupted.
local ffi = require "ffi"

-- LuaJIT's own handler waits for Lua code to run, which while nobody calls it doesn't.
ffi.cdef "void (*signal(int number, void (*handler)(int)))(int);"
local SIGINT = 2
ffi.C.signal(SIGINT, nil)

local path = arg[1]
local script = assert(loadfile(path))
local world = script(unpack(arg, 2))
if type(world) ~= "table" or type(world.serve) ~= "function" then
  io.stderr:write(path, ": returns no world\n")
  os.exit(1)
end
for _, node in ipairs(world.nodes) do
  print(("%s  %s"):format(node:address(), node:state()))
end
io.stdout:flush()
world:serve()
