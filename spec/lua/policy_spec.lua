-- The ready-made policies of distance: functions of a node.
local policy = require "cql.policy"

local function node(datacenter, rack, address, host_id)
  return { datacenter = datacenter, rack = rack, address = address or "10.0.0.1:9042",
    host_id = host_id }
end

local HERE, NEAR, FAR, UNKNOWN = node("dc1", "r1"), node("dc1", "r2"), node("dc2", "r1"), node()

local function answers(call)
  return { call(HERE) or "nil", call(NEAR) or "nil", call(FAR) or "nil", call(UNKNOWN) or "nil" }
end

describe("a policy", function()
  it("of a datacenter ignores the others, or keeps them in reserve", function()
    assert.same({ "local", "local", "ignored", "nil" }, answers(policy.datacenter "dc1"))
    assert.same({ "local", "local", "remote", "nil" }, answers(policy.datacenter("dc1", "remote")))
  end)

  it("of a rack prefers it to the rest of its datacenter", function()
    assert.same({ "rack", "local", "ignored", "nil" }, answers(policy.rack("dc1", "r1")))
    assert.same({ "rack", "local", "remote", "nil" }, answers(policy.rack("dc1", "r1", "remote")))
  end)

  it("that lists nodes goes by any of their fields", function()
    local listed = {
      { { datacenter = "dc1" }, node "dc1" },
      { { datacenter = { "dc3", "dc1" } }, node "dc1" },
      { { rack = "r1", datacenter = "dc9" }, node("dc1", "r1") },
      { { host_id = "a-b" }, node(nil, nil, nil, "a-b") },
      { { address = "10.0.0.7" }, node(nil, nil, "10.0.0.7:9042") },
      { { address = "10.0.0.7:9043" }, node(nil, nil, "10.0.0.7:9043") },
      { { address = "::1" }, node(nil, nil, "[::1]:9042") },
      { { address = "[::1]:9042" }, node(nil, nil, "[::1]:9042") },
    }
    for _, case in ipairs(listed) do
      assert.is_nil(policy.allow(case[1])(case[2]))
      assert.equal("ignored", policy.deny(case[1])(case[2]))
    end
    local absent = {
      { { datacenter = "dc1" }, node "dc2" },
      { { datacenter = "dc1" }, node() },
      { { host_id = "a-b" }, node() },
      { { address = "10.0.0.7" }, node(nil, nil, "10.0.0.70:9042") },
      { { address = "10.0.0.7:9043" }, node(nil, nil, "10.0.0.7:9042") },
      { {}, node("dc1", "r1") },
    }
    for _, case in ipairs(absent) do
      assert.equal("ignored", policy.allow(case[1])(case[2]))
      assert.is_nil(policy.deny(case[1])(case[2]))
    end
  end)

  it("of several takes a node for as far away as any of them does, in whatever order", function()
    local near, not_two = policy.rack("dc1", "r1", "remote"), policy.deny { rack = "r2" }
    for _, all in ipairs { policy.all(near, not_two), policy.all(not_two, near) } do
      assert.same({ "rack", "ignored", "remote", "nil" }, answers(all))
    end
    assert.same({ "nil", "nil", "nil", "nil" }, answers(policy.all()))
    local nested = policy.all(policy.all(near, policy.datacenter "dc1"), not_two)
    assert.same({ "local", "ignored", "ignored", "nil" }, answers(nested))
  end)

  it("of several hands a mistake on, to be told of", function()
    local wrong = policy.all(policy.datacenter "dc1", function() return "near" end)
    assert.equal("near", wrong(HERE))
  end)

  it("says what it takes", function()
    for _, case in ipairs {
      { "a datacenter's name is text", policy.datacenter },
      { "the names of a datacenter and a rack are text", policy.rack, "dc1" },
      { "a list of nodes is a table", policy.allow, "10.0.0.1" },
      { "not by adress", policy.deny, { adress = "10.0.0.1" } },
      { 'are "remote" or "ignored", not Remote', policy.datacenter, "dc1", "Remote" },
      { 'are "remote" or "ignored", not local', policy.rack, "dc1", "r1", "local" },
      { "functions of a node; 2 is a string", policy.all, policy.deny {}, "remote" },
      { "functions of a node; 1 is a nil", policy.all, nil, policy.deny {} },
    } do
      local ok, why = pcall(unpack(case, 2, 5))
      assert.is_false(ok)
      assert.matches(case[1], why, 1, true)
    end
  end)
end)
