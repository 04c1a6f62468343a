local ffi = require "ffi"
local unit = require "spec.support.unit"

local C = unit.C

local VERDICTS = { [0] = "rethrow", "same", "next", "ignore" }
local CODES = {
  SERVER_ERROR = 0x0000, PROTOCOL_ERROR = 0x000a, BAD_CREDENTIALS = 0x0100, UNAVAILABLE = 0x1000,
  OVERLOADED = 0x1001, IS_BOOTSTRAPPING = 0x1002, TRUNCATE_ERROR = 0x1003, WRITE_TIMEOUT = 0x1100,
  READ_TIMEOUT = 0x1200, READ_FAILURE = 0x1300, FUNCTION_FAILURE = 0x1400, WRITE_FAILURE = 0x1500,
  CDC_WRITE_FAILURE = 0x1600, CAS_WRITE_UNKNOWN = 0x1700, SYNTAX_ERROR = 0x2000,
  UNAUTHORIZED = 0x2100, INVALID = 0x2200, CONFIG_ERROR = 0x2300, ALREADY_EXISTS = 0x2400,
  UNPREPARED = 0x2500,
}

local function detail_of(given)
  local detail = ffi.new("cql_error_detail_t", { consistency = -1 })
  for _, name in ipairs { "write_type", "keyspace", "table", "arguments", "reasons",
    "unknown_id" } do
    detail[name].length = C.CQL_NULL
  end
  detail.received, detail.required = given.received or 0, given.required or 0
  detail.data_present = given.data_present and 1 or 0
  local write_type = given.write_type and unit.buffer(given.write_type)
  if write_type then detail.write_type = { write_type, #given.write_type } end
  return detail, write_type
end

-- The verdict on an attempt that failed; `request` remembers what was used up.
local function judge(given, request)
  request = request or {}
  request.once = request.once or ffi.new "uint8_t[1]"
  local failed = ffi.new "cql__failed_attempt"
  failed.status = given.status or C.CQL_ESERVER
  failed.code = given.code or CODES[given[1]] or 0
  failed.consistency = given.consistency or C.CQL_LOCAL_QUORUM
  failed.idempotent = given.idempotent and 1 or 0
  failed.prepare = given.prepare and 1 or 0
  failed.attempts = given.attempts or 1
  local detail, write_type
  if given.detail ~= false then detail, write_type = detail_of(given) end
  failed.detail = detail
  local verdict = VERDICTS[C.cql__retry_default(failed, request.once)]
  assert(write_type or true) -- alive until here
  return verdict
end

local function with(row, more)
  local all = {}
  for key, value in pairs(row) do all[key] = value end
  for key, value in pairs(more) do all[key] = value end
  return all
end

local LOST = { status = C.CQL_ECONNECTION }
local ANSWERED = { "READ_TIMEOUT", received = 2, required = 2 }
local BATCH_LOG = { "WRITE_TIMEOUT", write_type = "BATCH_LOG" }

-- The table: a failure, what follows if the request is not idempotent, and if it is.
local TABLE = {
  { { "IS_BOOTSTRAPPING" }, "next", "next" },
  { { "UNAVAILABLE", received = 1, required = 2 }, "next", "next" },
  { { "OVERLOADED" }, "rethrow", "next" },
  { { "SERVER_ERROR" }, "rethrow", "next" },
  { { "TRUNCATE_ERROR" }, "rethrow", "next" },
  { LOST, "rethrow", "next" },

  { ANSWERED, "same", "same" },
  { { "READ_TIMEOUT", received = 3, required = 2 }, "same", "same" },
  { { "READ_TIMEOUT", received = 1, required = 2 }, "rethrow", "rethrow" },
  { with(ANSWERED, { data_present = true }), "rethrow", "rethrow" },
  { { "READ_TIMEOUT", received = 1, required = 2, data_present = true }, "rethrow", "rethrow" },
  { { "READ_TIMEOUT", detail = false }, "rethrow", "rethrow" },

  { BATCH_LOG, "rethrow", "same" },
  { { "WRITE_TIMEOUT", write_type = "SIMPLE" }, "rethrow", "rethrow" },
  { { "WRITE_TIMEOUT", write_type = "BATCH" }, "rethrow", "rethrow" },
  { { "WRITE_TIMEOUT", write_type = "UNLOGGED_BATCH" }, "rethrow", "rethrow" },
  { { "WRITE_TIMEOUT", write_type = "COUNTER" }, "rethrow", "rethrow" },
  { { "WRITE_TIMEOUT", write_type = "CAS" }, "rethrow", "rethrow" },
  { { "WRITE_TIMEOUT", write_type = "VIEW" }, "rethrow", "rethrow" },
  { { "WRITE_TIMEOUT", write_type = "CDC" }, "rethrow", "rethrow" },
  { { "WRITE_TIMEOUT", write_type = "BATCH_LOG_" }, "rethrow", "rethrow" },
  { { "WRITE_TIMEOUT" }, "rethrow", "rethrow" },
  { { "WRITE_TIMEOUT", detail = false }, "rethrow", "rethrow" },

  { { "READ_FAILURE" }, "rethrow", "rethrow" },
  { { "WRITE_FAILURE" }, "rethrow", "rethrow" },
  { { "CDC_WRITE_FAILURE" }, "rethrow", "rethrow" },
  { { "CAS_WRITE_UNKNOWN" }, "rethrow", "rethrow" },
  { { "FUNCTION_FAILURE" }, "rethrow", "rethrow" },
  { { "SYNTAX_ERROR" }, "rethrow", "rethrow" },
  { { "INVALID" }, "rethrow", "rethrow" },
  { { "CONFIG_ERROR" }, "rethrow", "rethrow" },
  { { "UNAUTHORIZED" }, "rethrow", "rethrow" },
  { { "ALREADY_EXISTS" }, "rethrow", "rethrow" },
  { { "PROTOCOL_ERROR" }, "rethrow", "rethrow" },
  { { "BAD_CREDENTIALS" }, "rethrow", "rethrow" },
  { { "UNPREPARED" }, "rethrow", "rethrow" },
}

local function text_of(row)
  local words = { row[1] or C.CQL_ECONNECTION == row.status and "a lost connection" or row.status }
  for _, name in ipairs { "received", "required", "data_present", "write_type", "detail" } do
    if row[name] ~= nil then words[#words + 1] = name .. " " .. tostring(row[name]) end
  end
  return table.concat(words, ", ")
end

describe("the default retry policy", function()
  for _, row in ipairs(TABLE) do
    local failure, plain, idempotent = row[1], row[2], row[3]
    it(("%s: %s, idempotent: %s"):format(text_of(failure), plain, idempotent), function()
      assert.equal(plain, judge(failure))
      assert.equal(idempotent, judge(with(failure, { idempotent = true })))
    end)
  end

  it("knows no other code and no other status", function()
    local known = {}
    for _, row in ipairs(TABLE) do known[CODES[row[1][1]] or "lost"] = true end
    for code = -30, 0x10000 do
      if not known[code] then
        local verdict = judge { code = code, idempotent = true, received = 1, required = 1 }
        if verdict ~= "rethrow" then assert.equal("rethrow", verdict, "code " .. code) end
      end
    end
    for status = -40, -1 do
      if status ~= C.CQL_ECONNECTION and status ~= C.CQL_ESERVER then
        assert.equal("rethrow", judge { status = status, idempotent = true })
      end
    end
  end)

  for _, failure in ipairs {
    { "UNAVAILABLE" }, ANSWERED, with(BATCH_LOG, { idempotent = true }),
  } do
    it("gives one retry for " .. text_of(failure), function()
      local request = {}
      assert.is_not.equal("rethrow", judge(failure, request))
      for attempts = 2, 5 do
        assert.equal("rethrow", judge(with(failure, { attempts = attempts }), request))
      end
    end)
  end

  for _, failure in ipairs {
    { "IS_BOOTSTRAPPING" }, { "OVERLOADED", idempotent = true },
    { "SERVER_ERROR", idempotent = true }, { "TRUNCATE_ERROR", idempotent = true },
    with(LOST, { idempotent = true }),
  } do
    it("goes on until ten attempts for " .. text_of(failure), function()
      local request = {}
      for attempts = 1, 9 do
        assert.equal("next", judge(with(failure, { attempts = attempts }), request))
      end
      assert.equal("rethrow", judge(with(failure, { attempts = 10 }), request))
      assert.equal("rethrow", judge(with(failure, { attempts = 255 }), request))
    end)
  end

  it("counts each cause for itself", function()
    local request = {}
    assert.equal("next", judge({ "UNAVAILABLE" }, request))
    assert.equal("same", judge(with(ANSWERED, { attempts = 2 }), request))
    local batch = with(BATCH_LOG, { attempts = 3, idempotent = true })
    assert.equal("same", judge(batch, request))
    assert.equal("next", judge({ "IS_BOOTSTRAPPING", attempts = 4 }, request))
    for _, failure in ipairs { { "UNAVAILABLE" }, ANSWERED, batch } do
      assert.equal("rethrow", judge(with(failure, { attempts = 5 }), request))
    end
  end)

  it("uses up nothing where it rethrows", function()
    local request = {}
    assert.equal("rethrow", judge({ "READ_TIMEOUT", received = 1, required = 2 }, request))
    assert.equal("rethrow", judge({ "UNAVAILABLE", consistency = C.CQL_SERIAL }, request))
    assert.equal("rethrow", judge({ "UNAVAILABLE", attempts = 10 }, request))
    assert.equal(0, request.once[0])
    assert.equal("same", judge(ANSWERED, request))
    assert.equal("next", judge({ "UNAVAILABLE" }, request))
  end)

  for name, consistency in pairs { SERIAL = C.CQL_SERIAL, LOCAL_SERIAL = C.CQL_LOCAL_SERIAL } do
    it("retries nothing at " .. name .. ", but a node that isn't ready yet", function()
      for _, row in ipairs(TABLE) do
        local failure = with(row[1], { idempotent = true, consistency = consistency })
        local expected = row[1][1] == "IS_BOOTSTRAPPING" and "next" or "rethrow"
        assert.equal(expected, judge(failure), text_of(failure))
      end
    end)
  end

  it("prepares elsewhere, whatever the flags and the consistency of the session", function()
    for _, failure in ipairs { LOST, { "OVERLOADED" }, { "SERVER_ERROR" }, { "UNAVAILABLE" } } do
      for _, consistency in ipairs { C.CQL_ONE, C.CQL_SERIAL, C.CQL_LOCAL_SERIAL } do
        assert.equal("next", judge(with(failure, { prepare = true, consistency = consistency })))
      end
    end
    assert.equal("rethrow", judge { "SYNTAX_ERROR", prepare = true })
  end)

  it("never retries a rate limit", function()
    assert.equal("rethrow", judge { code = C.CQL_RATE_LIMIT_ERROR, idempotent = true })
  end)
end)
