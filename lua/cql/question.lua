--- Questions that the session asks, answered by functions of the configuration within its turn.
local ffi = require "ffi"
local C = require("cql.ffi").C
local host = require "cql.host"
local node_of = require "cql.node"

local question = {}

-- What such a function gave; nil: it gave nothing, or (true follows) failed, which is logged.
local function ask(session, name, ...)
  local ok, given = host.answer(name, session.asked[name], ...)
  if ok then return given end
  session:log("error", name .. " failed: " .. given)
  return nil, true
end

-- An authenticator gives the next token.
local function authenticate(session, event)
  local challenge = event.data.length >= 0 and ffi.string(event.data.data, event.data.length) or nil
  local token = ask(session, "authenticate", challenge, {
    address = ffi.string(event.address), mechanism = ffi.string(event.message),
  })
  if token == nil or type(token) == "string" then return token end
  session:log("error", "authenticate must give a string or nil, not a " .. type(token))
end

local function distance(session, event)
  local node = node_of.of(event.node)
  local name = node and ask(session, "distance", node)
  if name == nil or node_of.distances[name] then return name end
  local given = type(name) == "string" and ("%q"):format(name) or "a " .. type(name)
  session:log("error", ("distance must give \"rack\", \"local\", \"remote\", \"ignored\" or nil, "
    .. "not %s, of %s"):format(given, tostring(node)))
end

-- Where a node is reached: "host:port", its shard-aware port there, and for TLS the name that its
-- certificate carries. "" is no answer to the core, which tells of it.
local function endpoint(session, event)
  local node = node_of.of(event.node)
  local given, failed = ask(session, "endpoint", node)
  if failed then return "" end
  if given == nil then return nil end
  if type(given) == "table" and type(given.address) == "string" then
    return given.address .. (given.shard_port and "/" .. tostring(given.shard_port) or "") ..
      (given.name and " " .. tostring(given.name) or "")
  end
  if type(given) == "string" then return given end
  session:log("error", ("endpoint must give \"host:port\", { address =, shard_port =, name = } or "
    .. "nil, not a %s, of %s"):format(type(given), tostring(node)))
  return ""
end

local ANSWERS = {
  [ffi.C.CQL_ASK_AUTHENTICATE] = authenticate,
  [ffi.C.CQL_ASK_DISTANCE] = distance,
  [ffi.C.CQL_ASK_ENDPOINT] = endpoint,
}

--- Answers a question; with nothing, which means the native default, if there is no answer.
function question.answer(session, c)
  local tag, answer = c.tag, ANSWERS[c.code]
  local text = answer and answer(session, c.event)
  if text and C.cql_answer(session.handle, tag, text, #text) == 0 then return end
  if text and text ~= "" then
    session:log("error", ("this is no answer: %q"):format(text))
  end
  C.cql_answer(session.handle, tag, nil, ffi.C.CQL_NULL)
end

return question
