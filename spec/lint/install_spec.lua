-- What is installed works from anywhere: as a rock, and as a C library with its .pc file.
local function shell(command)
  local log = os.tmpname()
  local status = os.execute(("{ %s ; } >%s 2>&1"):format(command, log))
  local file = assert(io.open(log))
  local text = file:read "*a"
  file:close()
  os.remove(log)
  assert(status == 0, command .. "\n" .. text)
  return text
end

local function folder() return (shell "mktemp -d":gsub("%s+$", "")) end

describe("an installation", function()
  local where, build = nil, os.getenv "CQL_BUILD" or "build/dev"

  before_each(function() where = folder() end)
  after_each(function() shell("rm -rf " .. where) end)

  it("by luarocks make lets any script require cql", function()
    -- from a copy: LuaRocks builds inside of the source tree
    shell(("mkdir %s/copy && git ls-files -co --exclude-standard -z | xargs -0 cp --parents -t "
      .. "%s/copy"):format(where, where))
    shell(("cd %s/copy && luarocks-5.1 make --tree=%s/tree rockspec/*.rockspec")
      :format(where, where))
    local script = [[
      local cql = require "cql"
      assert(type(cql.connect) == "function")
      assert(package.searchpath("cql.core", package.cpath):find "%.so$")
      assert(package.searchpath("resty.cql", package.path))]]
    local file = assert(io.open(where .. "/script.lua", "w"))
    file:write(script)
    file:close()
    shell(([[cd / && env -u CQL_LIBRARY LUA_PATH="%s/tree/share/lua/5.1/?.lua;%s/tree/share/]]
      .. [[lua/5.1/?/init.lua;;" LUA_CPATH="%s/tree/lib/lua/5.1/?.so;;" luajit %s/script.lua]])
      :format(where, where, where, where))
  end)

  it("by cmake --install is found by pkg-config, with nothing but public names", function()
    shell(("cmake --install %s --prefix %s/usr"):format(build, where))
    local file = assert(io.open(where .. "/program.c", "w"))
    file:write [[
      #include <cql.h>
      int main(void) {
        cql_config_t *config = cql_config_new();
        cql_config_free(config);
        return config == 0;
      }
    ]]
    file:close()
    shell(([[cd %s && export PKG_CONFIG_PATH=$(dirname "$(find usr -name cql.pc)") &&
      cc -std=c11 -Wall -Werror program.c -o program $(pkg-config --cflags --libs cql) &&
      LD_LIBRARY_PATH=$(pkg-config --variable=libdir cql) ./program]]):format(where))
    shell(("cd %s/usr && ls include/cql_sim.h && find . | grep -q libcql_sim.so"):format(where))
    for _, library in ipairs { "libcql", "libcql_sim" } do
      local exported = shell(("nm -D --defined-only %s/%s.so"):format(build, library))
      for name in exported:gmatch "%x+ %u ([^%s@]+)" do
        assert.is_truthy(name:find "^cql_[^_]", name)
      end
    end
  end)
end)
