--- The host: how a caller waits here. Both have the same functions; see wait/plain.lua.
if _G.ngx and _G.ngx.get_phase then return require "cql.wait.nginx" end
return require "cql.wait.plain"
