-- The session of this worker. connect() gives the same one whenever it is called with this name.
local cql = require "resty.cql"

local database = {}

function database.session()
  return assert(cql.connect {
    name = "main",
    contact_points = os.getenv "CQL_CONTACT_POINTS" or "127.0.0.1",
  })
end

return database
