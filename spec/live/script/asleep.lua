-- The host does nothing for longer than its requests may take, while the answers lie in the socket.
local library = require "cql.ffi"
local load = require "spec.live.script.load"

local session = load.connect { request_timeout_ms = 1000 }
local select = assert(session:prepare "SELECT id, name FROM load WHERE id = ?")
local ok, failed = 0, 0
for _ = 1, 2 do
  local futures = {}
  for id = 1, 200 do futures[id] = session:submit(select, { id }) end
  library.C.cql_session_flush(session.handle)
  load.sleep(3000)
  for id = 1, 200 do
    if futures[id]:wait() then ok = ok + 1 else failed = failed + 1 end
  end
end
load.report(session, { ok = ok, failed = failed, wrong = 0, late = 0, names = {} })
