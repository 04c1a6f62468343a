-- A CQL server (v4) in a process of its own, for specs of calls that wait. It does what the text of
-- a statement says:
--
--   SELECT n ROWS m PAGES ...   rows of `page`, `row`, `name` ("row 1 of SELECT ..."), `id` (the
--                               first value, or null) and `keyspace` (where it was prepared)
--   HOLD ...                    is answered when RELEASE comes
--   USE "name", FAIL, DIE       the keyspace; an error; the connection ends
--
-- and answers all others with VOID. A statement of which the text contains PREPARE LATE is prepared
-- when RELEASE comes. Markers are `?`, all of them int.
local unit = require "spec.support.unit"
local server = require "spec.support.server"
local loopback = require "spec.support.loopback"

local INT, TEXT = 9, 13
local COLUMNS = { { "page", INT }, { "row", INT }, { "name", TEXT }, { "id", INT },
  { "keyspace", TEXT } }

local function u16(bytes, at) return bytes:byte(at) * 256 + bytes:byte(at + 1) end
local function u32(bytes, at) return u16(bytes, at) * 65536 + u16(bytes, at + 2) end

-- What follows the text or the id: the first value and the number of the page.
local function parameters(bytes)
  local flags, at, value = bytes:byte(3), 4, nil
  if flags % 2 == 1 then
    local count = u16(bytes, at)
    at = at + 2
    for i = 1, count do
      local size = u32(bytes, at)
      if size >= 2 ^ 31 then size = 0 end -- null or unset
      if i == 1 and size > 0 then value = bytes:sub(at + 4, at + 3 + size) end
      at = at + 4 + size
    end
  end
  if math.floor(flags / 4) % 2 == 1 then at = at + 4 end
  local page = 1
  if math.floor(flags / 8) % 2 == 1 then page = u32(bytes, at + 4) end
  return value, page
end

local function select(text, keyspace, value, page)
  local rows, pages = text:match "(%d+) ROWS (%d+) PAGES"
  local list = {}
  for i = 1, tonumber(rows) do
    local name = ("row %d of %s"):format(i, text)
    list[i] = { unit.u32(page), unit.u32(i), name, value or false, keyspace }
  end
  local more = page < tonumber(pages) and unit.u32(page + 1) or nil
  return "RESULT", server.rows(COLUMNS, list, { paging_state = more })
end

local function prepare(text, keyspace)
  local markers = {}
  for _ in text:gmatch "%?" do markers[#markers + 1] = { "v" .. #markers + 1, INT } end
  return "RESULT", server.prepared(4, keyspace .. "\1" .. text, markers,
    text:find "^SELECT" and COLUMNS or {})
end

-- ---- answers that wait ----

local held = {}

local function release(peer)
  local list = held
  held = {}
  for _, answer in ipairs(list) do answer() end
  return "RESULT", server.VOID, peer
end

local function hold(peer, request, opcode, body)
  held[#held + 1] = function() peer:answer(request, opcode, body) end
end

-- ---- requests ----

local WORDS = {
  USE = function(text, peer)
    peer.keyspace = text:match '"(.*)"'
    return "RESULT", server.keyspace(peer.keyspace)
  end,
  FAIL = function() return "ERROR", server.error(0x2200, "as it was asked to") end,
  DIE = function(_, peer) peer.socket:close() end,
  RELEASE = function(_, peer) return release(peer) end,
}

local function run(text, keyspace, rest, request, peer)
  local word = text:match "^%a+"
  if WORDS[word] then return WORDS[word](text, peer) end
  if word == "SELECT" then return select(text, keyspace, parameters(rest)) end
  if word == "HOLD" then return hold(peer, request, "RESULT", server.VOID) end
  return "RESULT", server.VOID
end

local OPCODES = {
  QUERY = function(request, peer)
    local body = request.body
    local size = u32(body, 1)
    return run(body:sub(5, 4 + size), peer.keyspace or "", body:sub(5 + size), request, peer)
  end,
  PREPARE = function(request, peer)
    local text = request.body:sub(5)
    local opcode, body = prepare(text, peer.keyspace or "")
    if text:find("PREPARE LATE", 1, true) then return hold(peer, request, opcode, body) end
    return opcode, body
  end,
  EXECUTE = function(request, peer)
    local body = request.body
    local size = u16(body, 1)
    local keyspace, text = body:sub(3, 2 + size):match "^(.-)\1(.*)$"
    return run(text, keyspace, body:sub(3 + size), request, peer)
  end,
  BATCH = function() return "RESULT", server.VOID end,
}

local function serve(request, peer)
  local opcode = OPCODES[request.opcode]
  if opcode then return opcode(request, peer) end
end

-- Started: port, stop(), pause(), resume().
return { start = function() return loopback.apart(serve) end }
