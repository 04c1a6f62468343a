std = "luajit"
max_line_length = 100
self = false -- a method need not use its self
exclude_files = { "lua/cql/cdef.lua", "lua/cql/sim/cdef.lua", "build" }

files["lua/resty"] = { std = "+ngx_lua" }
files["lua/cql/wait/nginx.lua"] = { std = "+ngx_lua" }
files["spec"] = { std = "+busted" }
files["examples/*_spec.lua"] = { std = "+busted" }
files["spec/resty"] = { std = "+busted+ngx_lua" }
files[".busted"] = { std = "luajit" }
files["rockspec"] = {
  globals = {
    "package", "version", "rockspec_format", "source", "description", "dependencies",
    "external_dependencies", "build",
  },
}
