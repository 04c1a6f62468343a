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

local ENDPOINT = { address = true, shard_port = true, name = true }

-- "host:port/shard port name"; nil and what it is instead.
local function endpoint_text(given)
  if type(given) == "string" then return given end
  if type(given) ~= "table" then return nil, "a " .. type(given) end
  for field in pairs(given) do
    if not ENDPOINT[field] then return nil, "a table with " .. tostring(field) end
  end
  if type(given.address) ~= "string" then return nil, "a table without an address" end
  return given.address .. (given.shard_port and "/" .. tostring(given.shard_port) or "") ..
    (given.name and " " .. tostring(given.name) or "")
end

local function wrong_endpoint(session, event, instead)
  session:log("error", ("endpoint must give \"host:port\", { address =, shard_port =, name = } or "
    .. "nil, not %s, of %s"):format(instead, tostring(node_of.of(event.node))))
end

-- Where a node is reached: "host:port", its shard-aware port there, and for TLS the name that its
-- certificate carries. "" is no answer to the core, which tells of it.
local function endpoint(session, event)
  local given, failed = ask(session, "endpoint", node_of.of(event.node))
  if failed then return "" end
  if given == nil then return nil end
  local text, instead = endpoint_text(given)
  if not text then wrong_endpoint(session, event, instead) end
  return text or ""
end

-- What is told of an answer that the core doesn't take.
local REFUSED = {
  [ffi.C.CQL_ASK_ENDPOINT] = function(session, event, text)
    wrong_endpoint(session, event, ("%q"):format(text))
  end,
}

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
  local refused = REFUSED[c.code]
  if refused and text and text ~= "" then refused(session, c.event, text) end
  C.cql_answer(session.handle, tag, nil, ffi.C.CQL_NULL)
end

return question
