--- cql inside nginx: the same API as `require "cql"`, and light threads wait instead of blocking.
--
--   local session = assert(require("resty.cql").connect { name = "shop", keyspace = "shop" })
--   local rows = assert(session:execute("SELECT name FROM items WHERE id = ?", { 1 }))
if not (ngx and ngx.get_phase) then
  error("resty.cql is for nginx with its Lua module: elsewhere require \"cql\"", 2)
end
return require "cql"
