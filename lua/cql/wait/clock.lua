--- Clocks, and sleeping on descriptors: the system calls that Lua makes.
local ffi = require "ffi"

-- Under names of our own: another module may have declared these, otherwise.
if not pcall(ffi.typeof, "cql_timespec") then
  ffi.cdef [[
    struct cql_pollfd { int fd; short events, revents; };
    int cql_lua_poll(struct cql_pollfd *fds, unsigned long count, int wait_ms) asm("poll");
    typedef struct { long seconds, nanoseconds; } cql_timespec;
    int cql_lua_clock(int clock, cql_timespec *out) asm("clock_gettime");
  ]]
end

local clock = {}

local timespec = ffi.new "cql_timespec"
local CLOCK_REALTIME, CLOCK_MONOTONIC = 0, 1

--- Milliseconds of a clock that never jumps.
---@return number
function clock.now()
  ffi.C.cql_lua_clock(CLOCK_MONOTONIC, timespec)
  return tonumber(timespec.seconds) * 1000 + tonumber(timespec.nanoseconds) / 1e6
end

--- Nanoseconds since 1970, by the clock on the wall.
---@return ffi.cdata* int64_t
function clock.since_1970()
  ffi.C.cql_lua_clock(CLOCK_REALTIME, timespec)
  return timespec.seconds * 1000000000LL + timespec.nanoseconds
end

--- poll(2): until a descriptor of `fds` is ready, at most `wait_ms` (-1: for ever).
function clock.poll(fds, count, wait_ms) return ffi.C.cql_lua_poll(fds, count, wait_ms) end

return clock
