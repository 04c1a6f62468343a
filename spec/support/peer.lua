-- A scripted server for specs of the connection: a session on the virtual wire, and the bytes of
-- the other side by hand. Time moves only when a spec says so.
local ffi = require "ffi"
local bit = require "bit"

local library = os.getenv "CQL_TEST_LIBRARY" or "build/dev/libcql_test.so"

if not pcall(ffi.typeof, "cql_completion_t") then ffi.cdef(require "cql.cdef") end
if not pcall(ffi.typeof, "struct cql__sim *") or not pcall(function() return ffi.C.cql__sim_x end) then
  pcall(ffi.cdef, [[
    typedef struct cql__sim cql__sim;
    typedef struct { uint32_t payload_size, uncompressed_size; int self_contained; } cql__segment;
    cql__sim *cql__sim_new(uint64_t seed, uint64_t now_ms);
    void cql__sim_free(cql__sim *sim);
    void cql__sim_advance(cql__sim *sim, uint64_t ms);
    int cql__sim_session(cql__sim *sim, const cql_config_t *config, cql_session_t **out);
    void cql__sim_session_free(cql_session_t *session);
    void cql__sim_step(cql__sim *sim, cql_session_t *session);
    int cql__sim_timeout(cql__sim *sim, cql_session_t *session);
    int cql__sim_count(const cql__sim *sim);
    int cql__sim_port(const cql__sim *sim, int socket);
    int cql__sim_is_closed(const cql__sim *sim, int socket);
    void cql__sim_accept(cql__sim *sim, int socket);
    void cql__sim_refuse(cql__sim *sim, int socket);
    size_t cql__sim_sent(const cql__sim *sim, int socket, const uint8_t **out);
    void cql__sim_take(cql__sim *sim, int socket, size_t size);
    int cql__sim_say(cql__sim *sim, int socket, const uint8_t *bytes, size_t size);
    void cql__sim_split(cql__sim *sim, int socket, size_t read_max);
    void cql__sim_room(cql__sim *sim, int socket, int64_t room);
    void cql__sim_reset(cql__sim *sim, int socket);
    int cql__session_poll(cql_session_t *session, uint32_t max, cql_completion_t *out);
    int cql__session_close(cql_session_t *session, int drain_ms);
    void cql__session_metrics(const cql_session_t *session, cql_metrics_t *out);
    int cql__session_use(cql_session_t *s, const char *keyspace, size_t length, uint32_t tag);
    int cql__session_answer(cql_session_t *s, uint32_t tag, const uint8_t *data, int32_t length);
    cql_request_t *cql__request_take(void *engine);
    uint32_t cql__crc32_begin(void);
    uint32_t cql__crc32_more(uint32_t crc, const uint8_t *bytes, size_t size);
    void cql__segment_head_encode(const cql__segment *segment, int lz4, uint8_t *out);
    int cql__segment_head_decode(const uint8_t *head, int lz4, cql__segment *out);
    void cql__segment_tail_encode(uint32_t crc, uint8_t *out);
    size_t cql__lz4_bound(size_t size);
    size_t cql__lz4_compress(const uint8_t *bytes, size_t size, uint8_t *out, size_t capacity);
    int cql__lz4_decompress(const uint8_t *bytes, size_t size, uint8_t *out, size_t out_size);
    void cql__mem_fail(long n, int onwards);
    long cql__mem_count(void);
    long cql__mem_live(void);
  ]])
end
local C = ffi.load(library)

local peer = { C = C }

-- ---- what a server writes [spec 3] ----

local char = string.char

function peer.u16(n) return char(bit.band(bit.rshift(n, 8), 255), bit.band(n, 255)) end
function peer.u32(n)
  return char(bit.band(bit.rshift(n, 24), 255), bit.band(bit.rshift(n, 16), 255),
    bit.band(bit.rshift(n, 8), 255), bit.band(n, 255))
end
function peer.str(s) return peer.u16(#s) .. s end
function peer.bytes(s) return s and peer.u32(#s) .. s or peer.u32(-1) end
function peer.hex(s) return (s:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end
function peer.unhex(s) return (s:gsub("%s", ""):gsub("%x%x", function(h) return char(tonumber(h, 16)) end)) end

local u16, u32, str, bytes = peer.u16, peer.u32, peer.str, peer.bytes

local OPCODE = { ERROR = 0, STARTUP = 1, READY = 2, AUTHENTICATE = 3, OPTIONS = 5, SUPPORTED = 6, QUERY = 7,
  RESULT = 8, PREPARE = 9, EXECUTE = 10, REGISTER = 11, EVENT = 12, BATCH = 13, AUTH_CHALLENGE = 14,
  AUTH_RESPONSE = 15, AUTH_SUCCESS = 16 }
peer.OPCODE = OPCODE

function peer.error_body(code, text, rest) return u32(code) .. str(text) .. (rest or "") end
peer.VOID = u32(1)
function peer.supported(map)
  local out, n = {}, 0
  for _, pair in ipairs(map) do
    n = n + 1
    out[n] = str(pair[1]) .. u16(#pair - 1)
    for i = 2, #pair do out[n] = out[n] .. str(pair[i]) end
  end
  return u16(n) .. table.concat(out)
end

-- Rows of one table: columns { { "name", type id }, ... }, rows of raw cells (nil: null).
function peer.rows(columns, rows, options)
  options = options or {}
  local flags = (options.no_metadata and 4 or 1) + (options.paging_state and 2 or 0) + (options.metadata_id and 8 or 0)
  local out = { u32(2), u32(flags), u32(#columns) }
  if options.paging_state then out[#out + 1] = bytes(options.paging_state) end
  if options.metadata_id then out[#out + 1] = str(options.metadata_id) end
  if not options.no_metadata then
    out[#out + 1] = str "ks" .. str "t"
    for _, c in ipairs(columns) do out[#out + 1] = str(c[1]) .. u16(c[2]) end
  end
  out[#out + 1] = u32(#rows)
  for _, row in ipairs(rows) do
    for i = 1, #columns do out[#out + 1] = bytes(row[i]) end
  end
  return table.concat(out)
end

-- PREPARED: id, markers { { "name", type id } }, columns likewise.
function peer.prepared(version, id, markers, columns, metadata_id)
  local out = { u32(4), str(id) }
  if version >= 5 then out[#out + 1] = str(metadata_id or "mid") end
  out[#out + 1] = u32(1) .. u32(#markers)
  if version >= 4 then out[#out + 1] = u32(1) .. u16(0) end
  out[#out + 1] = str "ks" .. str "t"
  for _, m in ipairs(markers) do out[#out + 1] = str(m[1]) .. u16(m[2]) end
  if #columns == 0 then return table.concat(out) .. u32(4) .. u32(0) end
  out[#out + 1] = u32(1) .. u32(#columns) .. str "ks" .. str "t"
  for _, c in ipairs(columns) do out[#out + 1] = str(c[1]) .. u16(c[2]) end
  return table.concat(out)
end

function peer.envelope(version, stream, opcode, body, flags)
  return char(bit.bor(version, 0x80), flags or 0) .. u16(stream) .. char(OPCODE[opcode] or opcode) ..
    u32(#body) .. body
end

function peer.segment(payload, options)
  options = options or {}
  local head = ffi.new("uint8_t[8]")
  local tail = ffi.new("uint8_t[4]")
  local segment = ffi.new("cql__segment", #payload, 0, options.slice and 0 or 1)
  if options.lz4 and options.compress then
    local bound = tonumber(C.cql__lz4_bound(#payload))
    local out = ffi.new("uint8_t[?]", bound)
    local size = C.cql__lz4_compress(payload, #payload, out, bound)
    segment.uncompressed_size = #payload
    payload = ffi.string(out, size)
    segment.payload_size = #payload
  end
  C.cql__segment_head_encode(segment, options.lz4 and 1 or 0, head)
  C.cql__segment_tail_encode(C.cql__crc32_more(C.cql__crc32_begin(), payload, #payload), tail)
  return ffi.string(head, options.lz4 and 8 or 6) .. payload .. ffi.string(tail, 4)
end

-- ---- the session and its wire ----

local Peer = {}
Peer.__index = Peer

-- options: those of the configuration, as text or numbers.
function peer.new(options, seed)
  local self = setmetatable({ C = C, version = 5, got = {}, buffers = {}, framed = {}, socket = -1 }, Peer)
  self.sim = C.cql__sim_new(seed or 1, 1000)
  local config = C.cql_config_new()
  for name, value in pairs(options or {}) do
    if name ~= "protocol_version" or value ~= 0 then
      assert(C.cql_config_set(config, name, tostring(value)) == 0, ffi.string(C.cql_config_error(config)))
    end
  end
  local out = ffi.new "cql_session_t *[1]"
  local result = C.cql__sim_session(self.sim, config, out)
  C.cql_config_free(config)
  self.session = out[0]
  if result ~= 0 then
    C.cql__sim_free(self.sim)
    return nil, result
  end
  self.version = tonumber(options and options.protocol_version) or 5
  if self.version == 0 then self.version = 5 end
  return self
end

function Peer:free()
  if self.session ~= nil then C.cql__sim_session_free(self.session) end
  if self.sim ~= nil then C.cql__sim_free(self.sim) end
  self.session, self.sim = nil, nil
end

function Peer:step(times)
  for _ = 1, times or 1 do C.cql__sim_step(self.sim, self.session) end
end
function Peer:advance(ms)
  C.cql__sim_advance(self.sim, ms)
  self:step()
end
function Peer:timeout() return C.cql__sim_timeout(self.sim, self.session) end
function Peer:sockets() return C.cql__sim_count(self.sim) end
function Peer:is_closed(socket) return C.cql__sim_is_closed(self.sim, socket) ~= 0 end

local function get32(s, at)
  local a, b, c, d = s:byte(at, at + 3)
  return bit.bor(bit.lshift(a, 24), bit.lshift(b, 16), bit.lshift(c, 8), d)
end

-- Undoes segments; returns envelopes and what is left.
function Peer:unframe(socket, raw)
  local out = self.buffers[socket] or ""
  local lz4 = self.lz4 and 1 or 0
  local head = lz4 == 1 and 8 or 6
  local segment = ffi.new "cql__segment"
  while #raw >= head do
    assert(C.cql__segment_head_decode(raw, lz4, segment) == 0, "CRC24 of the client")
    if #raw < head + segment.payload_size + 4 then break end
    local payload = raw:sub(head + 1, head + segment.payload_size)
    local tail = ffi.new "uint8_t[4]"
    C.cql__segment_tail_encode(C.cql__crc32_more(C.cql__crc32_begin(), payload, #payload), tail)
    assert(ffi.string(tail, 4) == raw:sub(head + #payload + 1, head + #payload + 4), "CRC32 of the client")
    raw = raw:sub(head + #payload + 5)
    if segment.uncompressed_size > 0 then
      local plain = ffi.new("uint8_t[?]", segment.uncompressed_size)
      assert(C.cql__lz4_decompress(payload, #payload, plain, segment.uncompressed_size) == 0)
      payload = ffi.string(plain, segment.uncompressed_size)
    end
    out = out .. payload
  end
  return out, raw
end

-- Takes what the session sent on a socket: a list of { version, flags, stream, opcode, body }.
function Peer:requests(socket)
  socket = socket or self.socket
  local data = ffi.new "const uint8_t *[1]"
  local size = tonumber(C.cql__sim_sent(self.sim, socket, data))
  local raw = ffi.string(data[0], size)
  local plain, rest = raw, ""
  if self.framed[socket] then plain, rest = self:unframe(socket, raw) end
  C.cql__sim_take(self.sim, socket, size - #rest)
  local list = {}
  while #plain >= 9 do
    local length = get32(plain, 6)
    if #plain < 9 + length then break end
    local request = { version = plain:byte(1), flags = plain:byte(2), stream = plain:byte(3) * 256 + plain:byte(4),
      opcode = plain:byte(5), body = plain:sub(10, 9 + length) }
    if bit.band(request.flags, 1) ~= 0 then
      local out = ffi.new("uint8_t[?]", get32(request.body, 1))
      assert(C.cql__lz4_decompress(request.body:sub(5), #request.body - 4, out, get32(request.body, 1)) == 0)
      request.body = ffi.string(out, get32(request.body, 1))
    end
    list[#list + 1] = request
    plain = plain:sub(10 + length)
  end
  if self.framed[socket] then
    self.buffers[socket] = plain
  else
    assert(plain == "", "half an envelope")
  end
  return list
end

-- Bytes as they are.
function Peer:say(raw, socket) assert(C.cql__sim_say(self.sim, socket or self.socket, raw, #raw) == 0) end

-- An envelope, in a segment where the version wants one.
function Peer:answer(stream, opcode, body, flags, socket)
  socket = socket or self.socket
  local e = peer.envelope(self.version, stream, opcode, body or "", flags)
  if self.framed[socket] then e = peer.segment(e, { lz4 = self.lz4 }) end
  self:say(e, socket)
end

function Peer:poll()
  local out = ffi.new "cql_completion_t[64]"
  local list = {}
  while true do
    local n = C.cql__session_poll(self.session, 64, out)
    for i = 0, n - 1 do
      local c = out[i]
      local entry = { tag = c.tag, kind = c.kind, status = c.status, code = c.code, result = c.result ~= nil and c.result or nil }
      if c.event ~= nil then
        entry.message, entry.address = ffi.string(c.event.message), ffi.string(c.event.address)
      end
      list[#list + 1] = entry
    end
    if n < 64 then return list end
  end
end

-- Only what became of requests; events are kept in self.events.
function Peer:done()
  local list = {}
  self.events = self.events or {}
  for _, entry in ipairs(self:poll()) do
    table.insert(entry.kind == 1 and list or self.events, entry)
  end
  return list
end

-- Answers one message of a handshake; true while there was one.
function Peer:handshake_answer(socket, options)
  for _, r in ipairs(self:requests(socket)) do
    if r.opcode == OPCODE.OPTIONS then
      self:answer(r.stream, "SUPPORTED", peer.supported { { "CQL_VERSION", "3.4.5" },
        { "COMPRESSION", "snappy", "lz4" }, { "PROTOCOL_VERSIONS", "3/v3", "4/v4", "5/v5" } }, 0, socket)
    elseif r.opcode == OPCODE.STARTUP then
      self.startup = r.body
      self.lz4 = r.body:find("COMPRESSION", 1, true) ~= nil
      self:answer(r.stream, "READY", "", 0, socket)
      self.framed[socket] = self.version >= 5
    elseif r.opcode == OPCODE.QUERY and r.body:find("cluster_name", 1, true) then
      self:answer(r.stream, "RESULT", peer.rows({ { "cluster_name", 13 } }, { { options and options.cluster or "test" } }),
        0, socket)
    elseif r.opcode == OPCODE.QUERY and r.body:find("USE ", 1, true) then
      self.used = r.body:match 'USE "(.-)"'
      self:answer(r.stream, "RESULT", u32(3) .. str(self.used), 0, socket)
    else
      return false
    end
    return true
  end
  return false
end

-- Opens the newest socket and goes through its handshake; returns the number of the socket.
function Peer:serve(socket, options)
  socket = socket or self:sockets() - 1
  C.cql__sim_accept(self.sim, socket)
  self.socket = socket
  repeat self:step() until not self:handshake_answer(socket, options)
  return socket
end

-- A request, submitted; options: prepared, values (raw), setup = function(request).
function Peer:submit(tag, text, options)
  options = options or {}
  local request = C.cql__request_take(self.session)
  assert(request ~= nil)
  local result
  if options.prepare then
    result = C.cql_request_prepare(request, text, #text)
  elseif options.prepared then
    result = C.cql_request_execute(request, options.prepared)
  else
    result = C.cql_request_query(request, text, #text)
  end
  assert(result == 0, result)
  if options.values then
    local values = ffi.new("cql_slice_t[?]", #options.values)
    for i, v in ipairs(options.values) do values[i - 1] = { v, #v } end
    assert(C.cql_bind(request, values, #options.values) == 0)
  end
  if options.setup then options.setup(request) end
  C.cql_submit(request, tag)
end

function Peer:metrics()
  local m = ffi.new "cql_metrics_t"
  C.cql__session_metrics(self.session, m)
  return m
end

return peer
