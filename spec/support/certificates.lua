-- Certificates for specs, made once a process by the openssl command. Fields are paths, each a
-- .crt with its .key: ca and other_ca; node (127.0.0.1, ::1, localhost, *.cql.test), elsewhere
-- (10.9.8.7 and elsewhere.test) and late (expired) by ca; client by ca, stranger by other_ca.
-- locked_key is the client's key, under the password "open sesame".
local certificates = {}

local function run(command)
  local pipe = assert(io.popen(command .. " 2>&1; echo $?"))
  local output = pipe:read "*a"
  pipe:close()
  if not output:match "0\n$" then error(command .. ": " .. output) end
end

local function make(folder)
  local function openssl(words) run("cd " .. folder .. " && openssl " .. words) end
  local function key(name)
    return "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout " .. name .. ".key"
  end
  local function sign(name, authority, names, days)
    openssl(("req %s -subj /CN=%s -out %s.csr"):format(key(name), name, name))
    local file = assert(io.open(folder .. "/" .. name .. ".ext", "w"))
    file:write("subjectAltName=", names, "\n")
    file:close()
    openssl(("x509 -req -in %s.csr -CA %s.crt -CAkey %s.key -CAcreateserial -days %d " ..
      "-extfile %s.ext -out %s.crt"):format(name, authority, authority, days, name, name))
  end
  for _, name in ipairs { "ca", "other_ca" } do
    openssl(("req -x509 %s -days 30 -subj /CN=%s -out %s.crt"):format(key(name), name, name))
  end
  sign("node", "ca", "IP:127.0.0.1,IP:::1,DNS:localhost,DNS:*.cql.test", 30)
  sign("elsewhere", "ca", "IP:10.9.8.7,DNS:elsewhere.test", 30)
  sign("late", "ca", "IP:127.0.0.1", -1)
  sign("client", "ca", "DNS:client", 30)
  sign("stranger", "other_ca", "DNS:client", 30)
  openssl "pkcs8 -topk8 -in client.key -passout 'pass:open sesame' -out locked.key"
  for _, name in ipairs { "ca", "other_ca", "node", "elsewhere", "late", "client", "stranger" } do
    certificates[name] = ("%s/%s.crt"):format(folder, name)
    certificates[name .. "_key"] = ("%s/%s.key"):format(folder, name)
  end
  certificates.locked_key = folder .. "/locked.key"
end

local folder
return setmetatable(certificates, {
  __index = function(self, name)
    if folder then return nil end
    local pipe = assert(io.popen "mktemp -d")
    folder = pipe:read "*l"
    pipe:close()
    -- Lua has no exit hook but this: the folder goes with the collector's last round.
    local mark = newproxy(true)
    local path = folder
    getmetatable(mark).__gc = function() os.execute("rm -rf '" .. path .. "'") end
    rawset(self, "mark", mark)
    make(folder)
    return rawget(self, name)
  end,
})
