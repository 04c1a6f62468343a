-- Nothing that differs between two runs reaches the simulator: neither the machine's clock nor its
-- chance nor an address. Those that serve real sockets are apart.
local tree = require "spec.support.tree"

local FORBIDDEN = {
  "%f[%w_]time%s*%(", "%f[%w_]clock%s*%(", "gettimeofday", "clock_gettime", "uv_hrtime", "uv_now",
  "%f[%w_]rand%s*%(", "random%s*%(%)", "getrandom", "getpid",
}
local APART = { ["src/sim/serve.c"] = true }

local function objection(line)
  if line:find '%%p[^%w]' then return "an address in a text" end
  local code = line:gsub("/%*.-%*/", ""):gsub('".-"', '""')
  for _, pattern in ipairs(FORBIDDEN) do
    if code:find(pattern) then return pattern end
  end
end

describe("the simulator", function()
  it("asks neither the machine's clock nor its chance", function()
    local wrong = {}
    for _, path in ipairs(tree.files("src/sim/*.c", "src/sim/*.h")) do
      for number, line in tree.lines(path) do
        local why = not APART[path] and objection(line)
        if why then wrong[#wrong + 1] = ("%s:%d: %s"):format(path, number, line) end
      end
    end
    assert.equal("", table.concat(wrong, "\n"))
  end)

  it("would be caught if it did", function()
    assert.is_truthy(objection "  int64_t now = time(NULL);")
    assert.is_truthy(objection "  clock_gettime(CLOCK_MONOTONIC, &now);")
    assert.is_truthy(objection "  return rand();")
    assert.is_truthy(objection '  cql__sim_print(b, "%p", node);')
    assert.is_nil(objection "  cql__sim_time_parse(text, &us);")
    assert.is_nil(objection "  return cql__rand_next(&sim->random); /* time() */")
  end)
end)
