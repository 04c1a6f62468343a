--- The driver's modules once more, for one simulated world: with the simulator's library, a virtual
--- clock and a scheduler of their own.

-- Without state and without waiting: values and errors are the same everywhere.
local SHARED = { ["cql.null"] = true, ["cql.names"] = true, ["cql.error"] = true }

local function is_shared(name) return SHARED[name] or name:find "^cql%.types%f[.%z]" end

local chunks = {} -- compiled files by module

local function chunk_of(name)
  local chunk = chunks[name]
  if not chunk then
    local path = assert(package.searchpath(name, package.path))
    chunk = string.dump(assert(loadfile(path)))
    chunks[name] = { code = chunk, path = path }
  end
  return chunks[name]
end

--- `loaded`: modules that take the place of the driver's. Gives the instance's require().
return function(loaded)
  local environment
  local function own_require(name)
    if not name:find "^cql%f[.%z]" or is_shared(name) then return require(name) end
    if loaded[name] == nil then
      local chunk = chunk_of(name)
      local run = setfenv(assert(loadstring(chunk.code, "@" .. chunk.path)), environment)
      loaded[name] = run(name)
    end
    return loaded[name]
  end
  environment = setmetatable({ require = own_require }, { __index = _G })
  return own_require
end
