-- Children are forked under load. Each is told that the session is its parent's, and ends through
-- lua_close(), with everything that it collects; the parent loses nothing.
local ffi = require "ffi"
local load = require "spec.live.script.load"

ffi.cdef [[
  int fork(void);
  int waitpid(int pid, int *status, int options);
]]

local session = load.connect { request_timeout_ms = 30000 }
local children, forking = {}, true

local counts = load.run(session, 256, 30000, function(counts) return counts.ok > 30000 end,
  function(counts)
    if counts.ok < 2000 * (#children + 1) or #children == 5 or not forking then return end
    local pid = ffi.C.fork()
    if pid > 0 then
      children[#children + 1] = pid
      return
    end
    forking = false
    local rows, err = session:execute "SELECT key FROM system.local"
    os.exit(not rows and err.name == "FORKED" and 7 or 8, true)
  end)

local status, ended = ffi.new "int[1]", 0
for _, pid in ipairs(children) do
  if ffi.C.waitpid(pid, status, 0) == pid and status[0] == 7 * 256 then ended = ended + 1 end
end
print(("children %d, ended well %d"):format(#children, ended))
print(("connections lost %d"):format(tonumber(session:metrics().connections_lost)))
load.report(session, counts)
