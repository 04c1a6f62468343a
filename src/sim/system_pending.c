/* Stands in for the system tables until they are there: what the handshake reads. */
#include "sim/buffer.h"
#include "sim/system.h"

void cql__system_install(cql__store *store) {
  static const char *const statements[] = {
      "CREATE KEYSPACE system WITH replication = {'class': 'LocalStrategy'}",
      "CREATE TABLE system.local (key text PRIMARY KEY, cluster_name text)",
      "INSERT INTO system.local (key, cluster_name) VALUES ('local', 'Simulated')"};
  for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
    cql__store_call call;
    cql__store_call_init(&call);
    call.now_us = 1;
    cql__store_result_free(cql__store_query(store, cql__sim_slice_of(statements[i]), &call));
  }
}
