--- Ready-made policies of distance, for the option `distance` of cql.connect(). Each file beside
--- this one is a function to be used as it is, or copied and changed.
--
--   local policy = require "cql.policy"
--   cql.connect {
--     contact_points = "10.0.0.1",
--     distance = policy.all(policy.datacenter "dc1", policy.deny { address = "10.0.0.7" }),
--   }
--
-- A policy is a function of a node that gives "rack", "local", "remote" or "ignored"; nil where it
-- has nothing to say, which leaves the node to the options local_datacenter and local_rack.
return {
  datacenter = require "cql.policy.datacenter",
  rack = require "cql.policy.rack",
  allow = require "cql.policy.allow",
  deny = require "cql.policy.deny",
  all = require "cql.policy.all",
}
