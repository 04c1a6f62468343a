-- ScyllaDB's face on real nodes (scylla_face.py), run beside a spec.
--
--   local face = scylla_face.start(server, "127.0.78.")
--   face:ask "shards 5"
--   face:counts()["127.0.78.1"]["open 0"]
--   face:stop()
local json = require "cjson"

local scylla_face = {}

local Face = {}
Face.__index = Face

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

-- What it said since the last time: one whole line.
function Face:line()
  for _ = 1, 500 do
    local line = read(self.output):sub(self.seen + 1):match "^([^\n]*)\n"
    if line then
      self.seen = self.seen + #line + 1
      return line
    end
    os.execute "sleep 0.02"
  end
  error("the face says nothing more: " .. read(self.output))
end

-- Obeys a command; see scylla_face.py.
function Face:ask(command)
  self.input:write(command, "\n")
  self.input:flush()
  local line = self:line()
  assert(line ~= "unknown", command)
  return line
end

-- By address: a map from names to numbers, and host_id and startup.
function Face:counts() return json.decode(self:ask "counts") end

function Face:stop()
  self.input:close()
  os.remove(self.output)
end

-- In front of all nodes of `server`, which were told to advertise these addresses. `tls`: { cert =,
-- key = }, or nil.
function scylla_face.start(server, prefix, tls)
  local output, words = os.tmpname(), {}
  for i, node in ipairs(server:nodes()) do
    words[i] = ("%s%d=%s"):format(prefix, node.number, node.address)
  end
  if tls then words[#words + 1] = ("tls=%s,%s"):format(tls.cert, tls.key) end
  local command = ("exec python3 spec/support/scylla_face.py %s >%s 2>&1"):format(
    table.concat(words, " "), output)
  local face = setmetatable({ input = assert(io.popen(command, "w")), output = output, seen = 0 },
    Face)
  local line = face:line()
  assert(line == "ready", line)
  return face
end

return scylla_face
