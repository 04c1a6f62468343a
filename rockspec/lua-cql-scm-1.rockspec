rockspec_format = "3.0"
package = "lua-cql"
version = "scm-1"
source = { url = "." } -- as `luarocks make` finds it
description = {
  summary = "A driver for Apache Cassandra and ScyllaDB: a C core, scripted from LuaJIT",
  detailed = [[
    Thousands of requests in flight from plain LuaJIT or OpenResty, without threads: the core
    (libcql) does the protocol, Lua decides.
  ]],
  license = "Apache-2.0",
}
-- LuaJIT, but not by `luajit >= 2.1`: its beta releases sort below 2.1. `require "cql"` says so
-- where there is no FFI.
dependencies = { "lua == 5.1" }
external_dependencies = {
  UV = { header = "uv.h" },
  OPENSSL = { header = "openssl/ssl.h" },
  LZ4 = { header = "lz4.h" },
}
build = {
  type = "cmake",
  variables = {
    CMAKE_BUILD_TYPE = "RelWithDebInfo",
    CQL_LIBDIR = "$(LIBDIR)",
    CQL_LUADIR = "$(LUADIR)",
  },
}
