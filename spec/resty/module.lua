-- A module that connects and prepares while it is loaded, where nothing can yield.
local session = require("spec.resty.app").session()
local by_id = assert(session:prepare "SELECT name FROM items WHERE id = ?")

local module = {}

function module.name(id) return assert(session:execute(by_id, { id }))[1].name end

return module
