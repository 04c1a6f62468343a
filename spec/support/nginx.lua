-- An nginx for specs, with Debian's Lua module, in a folder of its own; and a client that asks it
-- for many pages at once, over a unix socket, so that no port can be taken by another.
--
--   local server = nginx.start { http = "...", server = "...", workers = 2, environment = {...} }
--   server:get "/path"                      -- status, body
--   server:get_all(paths, { at_once = 200, after = { [500] = function() ... end } })
--   server:reload(), server:quit(), server:log "error", server:workers(), server:descriptors(pid)
--
-- It ends with this process at the latest, however that ends.
local ffi = require "ffi"
local unit = require "spec.support.unit"
require "spec.support.socket"

unit.cdef("nginx", [[
  struct spec_unix_address { uint16_t family; char path[108]; };
  int spec_connect_unix(int fd, const struct spec_unix_address *at, unsigned size) asm("connect");
  unsigned getuid(void);
]])

local C = ffi.C
local AF_UNIX, SOCK_STREAM, CLOEXEC = 1, 1, 0x80000
local POLLIN, EAGAIN, MSG_NOSIGNAL = 1, 11, 0x4000
local MODULES = "/usr/lib/nginx/modules/"
local LIMIT = 6000 -- times 10 ms: what hasn't happened by then never will

local nginx = {}

local function read(path)
  local file = io.open(path)
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local function output(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "*a"
  pipe:close()
  return (text:gsub("%s+$", ""))
end

-- Why there can be none here, or nil.
function nginx.missing()
  if output "command -v nginx" == "" then return "nginx is not installed" end
  if not read(MODULES .. "ngx_http_lua_module.so") then
    return "nginx has no Lua module: install libnginx-mod-http-lua"
  end
end

-- ---- the client ----

local function connect(path)
  local fd = C.socket(AF_UNIX, SOCK_STREAM + CLOEXEC, 0)
  assert(fd >= 0)
  local at = ffi.new("struct spec_unix_address", AF_UNIX, path)
  if C.spec_connect_unix(fd, at, ffi.sizeof(at)) ~= 0 then
    C.close(fd)
    return nil
  end
  return fd
end

-- A request under way; the caller closes what it doesn't want to the end.
local function ask(path, uri)
  local fd = assert(connect(path), "nginx takes no connection")
  local text = ("GET %s HTTP/1.0\r\nHost: spec\r\n\r\n"):format(uri)
  assert(tonumber(C.send(fd, text, #text, MSG_NOSIGNAL)) == #text)
  return { fd = fd, uri = uri, parts = {} }
end

local MSG_DONTWAIT = 0x40
local chunk = ffi.new "char[65536]"

-- Reads what is there; true at the end.
local function advance(request)
  while true do
    local got = tonumber(C.recv(request.fd, chunk, 65536, MSG_DONTWAIT))
    if got > 0 then
      request.parts[#request.parts + 1] = ffi.string(chunk, got)
    else
      if got < 0 and ffi.errno() == EAGAIN then return false end
      C.close(request.fd)
      local head, body = table.concat(request.parts):match "^(.-\r\n)\r\n(.*)$"
      request.status = head and tonumber(head:match "^HTTP/%S+ (%d+)")
      request.head, request.body = head, body
      return true
    end
  end
end

local function poll(requests, wait_ms)
  local fds = ffi.new("struct spec_pollfd[?]", math.max(#requests, 1))
  for i, request in ipairs(requests) do fds[i - 1] = { request.fd, POLLIN, 0 } end
  local count = C.poll(fds, #requests, wait_ms)
  return fds, count
end

-- ---- the server ----

local Server = {}
Server.__index = Server

-- All answers in the order of `paths`: { uri =, status =, head =, body = }. `at_once` of them are
-- under way at any time; after[n]() is called when n have come.
function Server:get_all(paths, options)
  options = options or {}
  local at_once, after = options.at_once or 200, options.after or {}
  local answers, under_way, next_path, done = {}, {}, 1, 0
  while done < #paths do
    while #under_way < at_once and next_path <= #paths do
      local request = ask(self.socket, paths[next_path])
      answers[next_path], next_path = request, next_path + 1
      under_way[#under_way + 1] = request
    end
    local fds, count = poll(under_way, LIMIT * 10)
    assert(count > 0, "no answer from nginx")
    for i = #under_way, 1, -1 do
      if fds[i - 1].revents ~= 0 and advance(under_way[i]) then
        table.remove(under_way, i)
        done = done + 1
        if after[done] then after[done]() end
      end
    end
  end
  return answers
end

-- Asks without reading: requests for answers().
function Server:ask(paths)
  local asked = {}
  for i, path in ipairs(paths) do asked[i] = ask(self.socket, path) end
  return asked
end

-- The answers to those, in their order.
function Server:answers(asked)
  for _, request in ipairs(asked) do
    while not advance(request) do
      local _, count = poll({ request }, LIMIT * 10)
      assert(count > 0, "no answer from nginx")
    end
  end
  return asked
end

-- status, body, head
function Server:get(uri)
  local answer = self:get_all({ uri })[1]
  return answer.status, answer.body, answer.head
end

-- Asks, and hangs up `wait_ms` later.
function Server:abort(paths, wait_ms)
  local asked = self:ask(paths)
  poll({}, wait_ms)
  for _, request in ipairs(asked) do C.close(request.fd) end
end

local function is_alive(pid) return C.kill(pid, 0) == 0 end

function nginx.until_(what, fn)
  for _ = 1, LIMIT do
    local value = fn()
    if value then return value end
    poll({}, 10)
  end
  error("never: " .. what, 2)
end

-- The processes of workers that run, those that are about to exit among them.
function Server:workers()
  local list = {}
  local children = read(("/proc/%d/task/%d/children"):format(self.pid, self.pid)) or ""
  for pid in children:gmatch "%d+" do list[#list + 1] = tonumber(pid) end
  return list
end

function Server:descriptors(pid)
  return tonumber(output(("ls /proc/%d/fd | wc -l"):format(pid or self:workers()[1])))
end

-- New workers; returns once the old ones have gone.
function Server:reload()
  local old = self:workers()
  C.kill(self.pid, 1)
  for _, pid in ipairs(old) do
    nginx.until_("worker " .. pid .. " exits", function() return not is_alive(pid) end)
  end
  nginx.until_("new workers run", function() return #self:workers() >= #old end)
end

-- The same without waiting.
function Server:hang_up() C.kill(self.pid, 1) end

local function ended(self)
  nginx.until_("nginx exits", function() return not is_alive(self.pid) end)
  self.pipe:close()
  self.pid = nil
end

-- Lets requests end.
function Server:quit()
  C.kill(self.pid, 3)
  ended(self)
end

-- Ends them.
function Server:terminate()
  C.kill(self.pid, 15)
  ended(self)
end

-- The lines of the log at that level or above, without those that contain one of `expected`.
local LEVELS = { "emerg", "alert", "crit", "error", "warn", "notice", "info" }
function Server:log(level, expected)
  local lines, wanted = {}, {}
  for _, name in ipairs(LEVELS) do
    wanted[name] = true
    if name == level then break end
  end
  for line in (read(self.folder .. "/error.log") or ""):gmatch "[^\n]+" do
    local fits = wanted[line:match "^%S+ %S+ %[(%a+)%]"]
    for _, text in ipairs(expected or {}) do fits = fits and not line:find(text, 1, true) end
    if fits then lines[#lines + 1] = line end
  end
  return lines
end

-- What it says before it has a log.
function Server:stderr() return read(self.folder .. "/stderr") or "" end

function Server:remove() os.execute("rm -rf '" .. self.folder .. "'") end

local FORM = [[
load_module $modules/ndk_http_module.so;
load_module $modules/ngx_http_lua_module.so;
$user
daemon off;
worker_processes $workers;
pid $folder/nginx.pid;
error_log $folder/error.log notice;
env CQL_LIBRARY;
$main
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path $folder/body;
  proxy_temp_path $folder/proxy;
  fastcgi_temp_path $folder/fastcgi;
  uwsgi_temp_path $folder/uwsgi;
  scgi_temp_path $folder/scgi;
  lua_package_path "$root/lua/?.lua;$root/lua/?/init.lua;$root/?.lua;$folder/?.lua;;";
  $http
  server {
    listen unix:$folder/http backlog=1024;
    $server
  }
}
]]

-- main, http, server: lines of the configuration, or conf: all of it, which listens and keeps its
-- pid as this one does; modules: name -> text of a Lua module.
function nginx.start(options)
  local folder = output "mktemp -d /tmp/cql-nginx-XXXXXX"
  local values = {
    folder = folder, modules = MODULES, root = output "pwd", workers = options.workers or 1,
    main = options.main or "", http = options.http or "", server = options.server or "",
    user = C.getuid() == 0 and "user root;" or "",
  }
  local conf = (options.conf or FORM):gsub("%$(%a+)", values):gsub("%$(%a+)", values)
  write(folder .. "/nginx.conf", conf)
  for name, text in pairs(options.modules or {}) do write(folder .. "/" .. name .. ".lua", text) end
  -- The shell sees the end of its input when this process ends.
  local pipe = assert(io.popen(([[env -u LD_PRELOAD CQL_LIBRARY="${CQL_LIBRARY:-]] ..
    [[build/dev/libcql.so}" nginx -p %s -c nginx.conf -e %s/error.log 2>>%s/stderr & ]] ..
    [[cat >/dev/null; kill $! 2>/dev/null; wait]]):format(folder, folder, folder), "w"))
  local server = setmetatable({ folder = folder, socket = folder .. "/http", pipe = pipe }, Server)
  nginx.until_("nginx starts: " .. folder, function()
    local failed = read(folder .. "/stderr")
    if failed and failed:find "emerg" then error(failed, 0) end
    server.pid = tonumber(read(folder .. "/nginx.pid") or "")
    local fd = server.pid and #server:workers() > 0 and connect(server.socket)
    if fd then C.close(fd) end
    return fd
  end)
  return server
end

return nginx
