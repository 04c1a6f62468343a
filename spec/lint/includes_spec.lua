-- Includes go down only: a folder of src/ includes itself and those before it in this list.
local tree = require "spec.support.tree"

local ORDER = {
  "base", "wire", "frame", "message", "link", "connection", "cluster", "execute", "session",
}
local LEVEL = {}
for level, folder in ipairs(ORDER) do LEVEL[folder] = level end
LEVEL.io, LEVEL.sim = #ORDER + 1, #ORDER + 1 -- side by side: neither includes the other
LEVEL.api = #ORDER + 2

-- What only some folders may include: the core does no I/O, and knows nothing of Lua.
local RESTRICTED = {
  { pattern = "^uv%.h$", folders = { io = true, sim = true } },
  { pattern = "^uv/", folders = { io = true, sim = true } },
  { pattern = "^openssl/", folders = { io = true, sim = true } },
  { pattern = "^lua", folders = {} },
  { pattern = "^lauxlib", folders = {} },
}

local function includes(path)
  local found = {}
  for number, line in tree.lines(path) do
    local name = line:match '^%s*#%s*include%s*[<"](.-)[>"]'
    if name then found[#found + 1] = { path = path, line = number, name = name } end
  end
  return found
end

-- The folder of src/ that an include of a file in `folder` means; nil for headers of others.
local function target_folder(folder, name)
  local other = name:match "^(%w+)/[%w_]+%.h$" or name:match "^%.%./(%w+)/[%w_]+%.h$"
  if other and LEVEL[other] then return other end
  local own = io.open("src/" .. folder .. "/" .. name)
  if own then
    own:close()
    return folder
  end
end

-- Why `folder` may not include `name`, or nil.
local function objection(folder, name)
  for _, rule in ipairs(RESTRICTED) do
    if name:find(rule.pattern) and not rule.folders[folder] then return "is not for this folder" end
  end
  if folder == "include" then return nil end
  local target = target_folder(folder, name)
  if not target or target == folder then return nil end
  if LEVEL[target] >= LEVEL[folder] then return "goes up or sideways" end
  if target == "sim" then return "nothing but the simulator includes it" end
  if target == "io" and folder ~= "api" then return "only api includes io" end
end

describe("includes", function()
  it("go down only", function()
    local wrong = {}
    for _, path in ipairs(tree.files("src/*.c", "src/*.h", "include/*.h")) do
      local folder = path:match "^src/(%w+)/" or path:match "^include/" and "include"
      assert(folder == "include" or LEVEL[folder], path .. ": a folder the order doesn't know")
      for _, include in ipairs(includes(path)) do
        local why = objection(folder, include.name)
        if why then
          wrong[#wrong + 1] = ("%s:%d: %s %s"):format(path, include.line, include.name, why)
        end
      end
    end
    assert.equal("", table.concat(wrong, "\n"))
  end)

  it("would be caught if they did not", function()
    assert.is_truthy(objection("base", "wire/cursor.h"))
    assert.is_truthy(objection("connection", "cluster/node.h"))
    assert.is_truthy(objection("io", "sim/clock.h"))
    assert.is_truthy(objection("session", "uv.h"))
    assert.is_truthy(objection("api", "openssl/ssl.h"))
    assert.is_truthy(objection("io", "lua.h"))
    assert.is_truthy(objection("api", "sim/clock.h"))
    assert.is_nil(objection("sim", "session/session.h"))
    assert.is_nil(objection("api", "io/loop.h"))
    assert.is_nil(objection("frame", "lz4.h"))
  end)
end)
