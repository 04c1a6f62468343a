--- Loading a library of C: its declarations are read, its version is checked, and if it can't be
--- had, the message says what to do.
local has_ffi, ffi = pcall(require, "ffi")
if not has_ffi then
  error("cql needs LuaJIT: this Lua has no FFI. Run it with luajit, or inside OpenResty", 0)
end

local ABI_VERSION = 1

-- Loaded twice (a test runner that forgets modules), the declarations must not be read twice.
local function declare(type_name, module)
  if not pcall(ffi.typeof, type_name) then ffi.cdef(require(module)) end
end
declare("cql_completion_t", "cql.cdef")

local library = { declare = declare }

--- `variable` of the environment names a file; else the library lies beside the modules, as
--- `module` on package.cpath, or where the system keeps libraries, by `name`.
function library.load(variable, module, name)
  local path = os.getenv(variable)
  if not path or path == "" then path = package.searchpath(module, package.cpath) or name end
  local loaded, C = pcall(ffi.load, path)
  if not loaded then
    error(("cql: its library can't be loaded from \"%s\": %s\nInstall the rock, or set %s to the "
      .. "path of lib%s.so"):format(path, C, variable, name), 0)
  end
  local version = C.cql_abi_version()
  if version ~= ABI_VERSION then
    error(("cql: %s has ABI version %d, and these modules want %d: install both from one release")
      :format(path, version, ABI_VERSION), 0)
  end
  return C, path
end

return library
