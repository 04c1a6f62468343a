--- Values that Lua has no type for: what makes them, and how they read.
local decimal = require "cql.types.decimal"
local duration = require "cql.types.duration"
local uuid = require "cql.types.uuid"
local varint = require "cql.types.varint"

return {
  decimal = decimal.new,
  duration = duration.new,
  varint = varint.new,
  uuid = uuid.random,
  timeuuid = uuid.of_now,
}
