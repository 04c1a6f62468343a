-- The server stands still under load, longer than requests may take, then goes on: its late
-- answers reach nobody.
local cql = require "cql"
local load = require "spec.live.script.load"

local session = load.connect { request_timeout_ms = 300, heartbeat_ms = tonumber(arg[1]),
  heartbeat_timeout_ms = 500 }
local paused, resumed, ok_before = false, false, 0

local counts = load.run(session, 256, 300, function(counts)
  return resumed and counts.ok > ok_before + 2000
end, function(counts)
  if not paused and counts.ok > 5000 then
    paused = true
    load.signal(load.SIGSTOP)
    cql.spawn(function()
      cql.sleep(2000)
      load.signal(load.SIGCONT)
      ok_before, resumed = counts.ok, true
    end)
  end
end)
cql.sleep(500) -- answers that are still owed
load.report(session, counts)
