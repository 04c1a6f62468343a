--- The driver's library. `C` is kept here for good: a library that nothing refers to is unmapped by
--- the collector.
local C, path = require("cql.library").load("CQL_LIBRARY", "cql.core", "cql")
return { C = C, path = path }
