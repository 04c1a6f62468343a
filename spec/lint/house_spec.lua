-- What a reviewer should not have to say: columns, left-over notes, long functions, undocumented
-- exports, a rock that doesn't match the tree, links that lead nowhere.
local tree = require "spec.support.tree"

local COLUMNS_MAX = 100
local FUNCTION_LINES_MAX = 70
-- Functions that may be longer, each with its reason: ["src/x/y.c:name"] = "why".
local LONG_WITH_REASON = {}

local CODE = {
  "*.c", "*.h", "*.lua", "*.rockspec", "*.cmake", "CMakeLists.txt", "dev", "tools/*", ".ci/*",
}
local CODE_AND_PAGES = { "*.md", unpack(CODE) }

local function fail_with(wrong) assert.equal("", table.concat(wrong, "\n")) end

-- Characters, not bytes: continuation bytes of UTF-8 don't count.
local function columns(line) return #line:gsub("[\128-\191]", "") end

-- The functions of a C file {name, line, count}, as clang-format leaves them: a body opens at the
-- end of a line and closes in column 1.
local function c_functions(text)
  local found, number, name, first = {}, 0, nil, nil
  local signature = ""
  for line in (text .. "\n"):gmatch "(.-)\n" do
    number = number + 1
    if first then
      if line:find "^}" then
        found[#found + 1] = { name = name, line = first, count = number - first + 1 }
        first, signature = nil, ""
      end
    else
      signature = (line:find "^[%w_]" and "" or signature) .. line
      if line:find "%)%s*{%s*$" and signature:find "^[%w_].-%(" then
        name, first = signature:match "([%w_]+)%s*%(" or "?", number
      end
    end
  end
  return found
end

-- The same for named functions of a Lua file: the `end` in the column of its `function`.
local function lua_functions(path)
  local found, open = {}, {}
  for number, line in tree.lines(path) do
    local indent, name = line:match "^(%s*)local%s+function%s+([%w_]+)"
    if not name then indent, name = line:match "^(%s*)function%s+([%w_.:]+)" end
    if not name then indent, name = line:match "^(%s*)[%w%s_.]-([%w_]+)%s*=%s*function%s*%(" end
    if name and not line:find "%f[%w]end%f[%W][%s,)]*$" then
      open[indent] = { name = name, line = number }
    else
      local close = line:match "^(%s*)end%f[%W]"
      local begun = close and open[close]
      if begun then
        open[close] = nil
        begun.count = number - begun.line + 1
        found[#found + 1] = begun
      end
    end
  end
  return found
end

describe("the house", function()
  it("keeps to 100 columns, without tabs or blanks at line ends", function()
    local wrong = {}
    for _, path in ipairs(tree.files(unpack(CODE))) do
      for number, line in tree.lines(path) do
        local why = columns(line) > COLUMNS_MAX and columns(line) .. " columns"
          or line:find "\t" and "a tab" or line:find "%s$" and "blanks at the end"
        if why and not path:find "^lua/cql/.*cdef%.lua$" then
          wrong[#wrong + 1] = ("%s:%d: %s"):format(path, number, why)
        end
      end
    end
    fail_with(wrong)
  end)

  it("has no notes of work left over", function()
    local words = { "TO" .. "DO", "FIX" .. "ME", "X" .. "XX" }
    local wrong = {}
    for _, path in ipairs(tree.files(unpack(CODE_AND_PAGES))) do
      for number, line in tree.lines(path) do
        for _, word in ipairs(words) do
          if line:find("%f[%w]" .. word .. "%f[%W]") then
            wrong[#wrong + 1] = ("%s:%d: %s"):format(path, number, word)
          end
        end
      end
    end
    fail_with(wrong)
  end)

  it("has no header that nobody includes", function()
    local included = {}
    for _, path in ipairs(tree.files("*.c", "*.h")) do
      for _, line in tree.lines(path) do
        local name = line:match '^%s*#%s*include%s*[<"](.-)[>"]'
        if name then included[name:match "[^/]+$"] = true end
      end
    end
    local wrong = {}
    for _, path in ipairs(tree.files "*.h") do
      if not included[path:match "[^/]+$"] then wrong[#wrong + 1] = path end
    end
    fail_with(wrong)
  end)

  it("has no function of more than 70 lines", function()
    local wrong = {}
    local function check(path, functions)
      for _, f in ipairs(functions) do
        if f.count > FUNCTION_LINES_MAX and not LONG_WITH_REASON[path .. ":" .. f.name] then
          wrong[#wrong + 1] = ("%s:%d: %s has %d lines"):format(path, f.line, f.name, f.count)
        end
      end
    end
    for _, path in ipairs(tree.files("*.c", "*.h")) do
      check(path, c_functions(tree.strip_c(tree.read(path))))
    end
    for _, path in ipairs(tree.files "*.lua") do check(path, lua_functions(path)) end
    fail_with(wrong)
  end)

  it("would find a function that is too long", function()
    local body = ("  x();\n"):rep(80)
    local text = "int y = f(\n  3);\nstatic int a_long(int b,\n    int c) {\n" .. body .. "}\n"
    local found = c_functions(text)
    assert.equal(1, #found)
    assert.equal("a_long", found[1].name)
    assert.equal(82, found[1].count)
  end)
end)

describe("a public header", function()
  local function undocumented(path, wrong)
    local documented, pending = false, false
    for number, line in tree.lines(path) do
      if line:find "^%s*$" then documented, pending = false, false end
      if line:find "^%s*/%*" or line:find "%*/%s*$" then documented = true end
      if line:find "^CQL_API" and not documented then pending = number end
      if pending and line:find ";" then
        if not line:find "/%*" then
          wrong[#wrong + 1] = ("%s:%d: %s"):format(path, pending, line)
        end
        pending = false
      end
    end
  end

  it("documents each exported function, alone or in a group under one comment", function()
    local wrong = {}
    for _, path in ipairs(tree.files "include/*.h") do undocumented(path, wrong) end
    fail_with(wrong)
  end)
end)

describe("the rock", function()
  local function rockspec()
    local found = tree.files "rockspec/*.rockspec"
    assert.equal(1, #found)
    local spec = {}
    local chunk = assert(loadfile(found[1]))
    setfenv(chunk, spec)
    chunk()
    return spec, found[1]
  end

  it("is named as its file and passes CMake variables that exist", function()
    local spec, path = rockspec()
    assert.equal(("rockspec/%s-%s.rockspec"):format(spec.package, spec.version), path)
    assert.equal("cmake", spec.build.type)
    local cmake = tree.read "CMakeLists.txt"
    for name in pairs(spec.build.variables) do
      assert(cmake:find(name, 1, true), name .. " is unknown to CMakeLists.txt")
    end
  end)

  it("asks for the libraries that CMake requires", function()
    local spec = rockspec()
    local cmake = tree.read "CMakeLists.txt"
    local asked, required = 0, 0
    for name in cmake:gmatch "pkg_check_modules%((%w+) REQUIRED" do
      if name ~= "ZLIB" then -- only without libdeflate
        required = required + 1
        assert(spec.external_dependencies[name], name .. " is not in the rockspec")
      end
    end
    for _ in pairs(spec.external_dependencies) do asked = asked + 1 end
    assert.equal(required, asked)
  end)

  it("holds every module that is required", function()
    local wrong, modules = {}, {}
    for _, path in ipairs(tree.files "lua/*.lua") do
      local name = path:match "^lua/(.*)%.lua$":gsub("/init$", ""):gsub("/", ".")
      modules[name] = true
    end
    for _, path in ipairs(tree.files "lua/*.lua") do
      for number, line in tree.lines(path) do
        local name = not line:find "^%s*%-%-" and line:match "require%s*%(?%s*[\"']([%w_.]+)[\"']"
        if name and (name:find "^cql" or name == "resty.cql") and not modules[name] then
          wrong[#wrong + 1] = ("%s:%d: no module %s"):format(path, number, name)
        end
      end
    end
    fail_with(wrong)
  end)
end)

-- GitHub's names for headings: lower case, punctuation dropped, blanks to hyphens.
local function anchors(path)
  local found, fenced = {}, false
  for _, line in tree.lines(path) do
    if line:find "^```" then fenced = not fenced end
    local title = not fenced and line:match "^#+%s+(.-)%s*$"
    if title then
      found[title:lower():gsub("[^%w%s_\128-\255-]", ""):gsub("%s", "-")] = true
    end
  end
  return found
end

local function exists(path)
  return os.execute(("test -e '%s'"):format(path)) == 0
end

describe("the pages", function()
  local pages = tree.files "*.md"

  it("link to what is there", function()
    local wrong = {}
    for _, page in ipairs(pages) do
      local folder = page:match "^(.*/)" or ""
      for number, line in tree.lines(page) do
        for link in line:gmatch "%]%(([^)%s]+)%)" do
          local path, anchor = link:match "^([^#]*)#?(.*)$"
          local target = path == "" and page or folder .. path
          local found = link:find "^%a+:" or exists(target) and (anchor == ""
            or not target:find "%.md$" or anchors(target)[anchor])
          if not found then wrong[#wrong + 1] = ("%s:%d: %s"):format(page, number, link) end
        end
      end
    end
    fail_with(wrong)
  end)

  it("name words of ./dev that exist", function()
    local help, wrong = tree.read "dev", {}
    for _, page in ipairs(pages) do
      for number, line in tree.lines(page) do
        for word in line:gmatch "%./dev (%l[%w-]*)" do
          if not help:find("\n./dev " .. word .. "%f[%W]") then
            wrong[#wrong + 1] = ("%s:%d: ./dev %s"):format(page, number, word)
          end
        end
      end
    end
    fail_with(wrong)
  end)
end)
