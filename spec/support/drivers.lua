-- Other people's drivers, as judges. Their packages are installed once, into build/drivers.
local drivers = {}

local ROOT = "build/drivers"

local function run(command) return os.execute(command .. " >/dev/null 2>&1") == 0 end

-- The Python that has this package, or nil.
function drivers.python(package)
  local folder = ROOT .. "/" .. package
  if run(folder .. "/bin/python -c 'import cassandra'") then return folder .. "/bin/python" end
  local installed = run(("mkdir -p %s && python3 -m venv %s && timeout 300 %s/bin/pip -q install "
    .. "%s lz4"):format(ROOT, folder, folder, package))
  return installed and folder .. "/bin/python" or nil
end

-- The program of driver_go, or nil.
function drivers.go()
  local built = run(("mkdir -p %s && cd spec/support/driver_go && timeout 300 nice go build -o "
    .. "../../../%s/driver_go ."):format(ROOT, ROOT))
  return built and ROOT .. "/driver_go" or nil
end

return drivers
