--- The library, loaded once: its declarations, its version checked, and how it was found.
-- CQL_LIBRARY names another file than the one installed beside these modules.
local has_ffi, ffi = pcall(require, "ffi")
if not has_ffi then
  error("cql needs LuaJIT: this Lua has no FFI. Run it with luajit, or inside OpenResty", 0)
end

local ABI_VERSION = 1

-- Loaded twice (a test runner that forgets modules), the declarations must not be read twice.
if not pcall(ffi.typeof, "cql_completion_t") then ffi.cdef(require "cql.cdef") end

-- Beside the modules (cql/core.so on package.cpath), else where the system keeps libraries.
local function find()
  local named = os.getenv "CQL_LIBRARY"
  if named and named ~= "" then return named end
  return package.searchpath("cql.core", package.cpath) or "cql"
end

local function load(path)
  local loaded, library = pcall(ffi.load, path)
  if not loaded then
    error(("cql: its library can't be loaded from \"%s\": %s\nInstall the rock, or set CQL_LIBRARY "
      .. "to the path of libcql.so"):format(path, library), 0)
  end
  local version = library.cql_abi_version()
  if version ~= ABI_VERSION then
    error(("cql: %s has ABI version %d, and these modules want %d: install both from one release")
      :format(path, version, ABI_VERSION), 0)
  end
  return library
end

local path = find()

-- `C` is kept here for good: a library that nothing refers to is unmapped by the collector.
return { C = load(path), path = path }
