-- The server is killed under load, later started again: every request ends, by what happened to it,
-- and the load goes on by itself.
local load = require "spec.live.script.load"

local session = load.connect()
local killed, ok_before, ok_again = false, 0, 0

local counts = load.run(session, 256, 1500, function() return ok_again > 2000 end, function(counts)
  if not killed and counts.ok > 5000 then
    killed = true
    load.signal(load.SIGKILL)
    load.tool("up 1 --name " .. os.getenv "NAME")
  end
  if killed and counts.failed > 0 then
    if ok_before == 0 then ok_before = counts.ok end
    ok_again = counts.ok - ok_before
  end
end)
load.report(session, counts)
