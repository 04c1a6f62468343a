-- A busted output handler: failures in full for people, and every result as a line of the file
-- $CQL_TALLY for tools/spec: `kind TAB name TAB message`, line breaks of the message escaped.
-- Lines are written as things happen, so that after a crash the file tells which test was running.
local ffi = require "ffi"

local out = io.open(os.getenv "CQL_TALLY" or "/dev/null", "a")
out:setvbuf("line")

-- A sanitizer's runtime was preloaded for this process. What it starts are programs without one,
-- and the thread sanitizer's kills even a shell.
ffi.cdef "int unsetenv(const char *name);"
ffi.C.unsetenv "LD_PRELOAD"

local function record(kind, name, message)
  message = tostring(message or ""):gsub("\\", "\\\\"):gsub("\n", "\\n"):gsub("\t", " ")
  out:write(kind, "\t", (tostring(name):gsub("%s+", " ")), "\t", message, "\n")
end

local function text(message)
  if type(message) == "string" then return message end
  local printed = message ~= nil and getmetatable(message) and tostring(message)
  return printed or require("pl.pretty").write(message)
end

return function()
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base"()

  local function show(failure)
    local trace = failure.trace or {}
    local at = failure.element.trace or trace
    local message = text(failure.message)
    record("failed", failure.name, message)
    local place = (at.short_src or "?") .. ":" .. (at.currentline or 0)
    io.write("FAILED  ", failure.name, "\n  ", place, "\n  ", (message:gsub("\n", "\n  ")), "\n")
    if failure.isError and trace.traceback then
      io.write("  ", (trace.traceback:gsub("^\n", ""):gsub("\n", "\n  ")), "\n")
    end
    io.flush()
  end

  busted.subscribe({ "test", "start" }, function(element)
    record("running", handler.getFullName(element))
    return nil, true
  end)

  busted.subscribe({ "test", "end" }, function(element, _, status)
    if status == "success" then
      record("passed", handler.getFullName(element))
    elseif status == "pending" then
      local pending = handler.pendings[#handler.pendings]
      local reason = pending.message and text(pending.message) or "no reason given"
      record("skipped", pending.name, reason)
    elseif status == "failure" then
      show(handler.failures[#handler.failures])
    else
      show(handler.errors[#handler.errors])
    end
    return nil, true
  end)

  -- What fails outside of a test: a file that doesn't load, a setup or a teardown.
  local function outside(element)
    if element.descriptor ~= "it" then show(handler.errors[#handler.errors]) end
    return nil, true
  end
  busted.subscribe({ "error" }, outside)
  busted.subscribe({ "failure" }, outside)
  busted.subscribe({ "suite", "end" }, function()
    record("ended", "")
    out:flush()
    return nil, true
  end)
  return handler
end
