-- Replays what the fuzzers start from and what they once found, without a fuzzer: each fuzz/NAME.c
-- is built as a program that runs the files it is given, by the same compiler as the library.
local build = os.getenv "CQL_BUILD" or "build/dev"

local function lines(command)
  local pipe = assert(io.popen(command))
  local list = {}
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  return list
end

-- A sanitized program looks for leaks, which can't be done within LuaJIT.
local CLEAN = "env -u ASAN_OPTIONS"

describe("the corpus of", function()
  local fuzzers = lines "ls fuzz/*.c"
  assert(#fuzzers >= 5, "where are the fuzzers?")
  for _, path in ipairs(fuzzers) do
    local name = path:match "([%w_]+)%.c$"

    it(path, function()
      local files = lines(("ls fuzz/corpus/%s/* 2>/dev/null"):format(name))
      assert.is_true(#files > 0, "nothing to replay")
      for _, file in ipairs(files) do -- what a fuzzer learns by itself is not for the tree
        assert(file:find "/seed%-%d+$" or file:find "/found%-[%l-]+$", file .. ": named otherwise")
      end
      local out = lines(("%s %s/fuzz/%s %s 2>&1; echo status $?"):format(CLEAN, build, name,
        table.concat(files, " ")))
      assert.equal("status 0", out[#out], table.concat(out, "\n"))
      assert.equal(#files + 1, #out) -- each was run
    end)
  end
end)
