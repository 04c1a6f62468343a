/* What the simulator cannot do yet; each function leaves for its own file as it is built. */
#include "cql_sim.h"

cql_sim_t *cql_sim_new(uint64_t seed) {
  (void)seed;
  return NULL;
}

void cql_sim_free(cql_sim_t *sim) { (void)sim; }

const char *cql_sim_error(const cql_sim_t *sim) {
  (void)sim;
  return NULL;
}

int64_t cql_sim_now(const cql_sim_t *sim) {
  (void)sim;
  return 0;
}

int cql_sim_set(cql_sim_t *sim, int node, const char *name, const char *value) {
  (void)sim;
  (void)node;
  (void)name;
  (void)value;
  return CQL_EUNSUPPORTED;
}

const char *cql_sim_setting(uint32_t index) {
  (void)index;
  return NULL;
}

int cql_sim_user(cql_sim_t *sim, const char *name, const char *password) {
  (void)sim;
  (void)name;
  (void)password;
  return CQL_EUNSUPPORTED;
}

int cql_sim_name(cql_sim_t *sim, const char *name, const char *addresses) {
  (void)sim;
  (void)name;
  (void)addresses;
  return CQL_EUNSUPPORTED;
}

int cql_sim_cql(cql_sim_t *sim, const char *text, size_t length) {
  (void)sim;
  (void)text;
  (void)length;
  return CQL_EUNSUPPORTED;
}

int cql_sim_node_new(cql_sim_t *sim, const char *datacenter, const char *rack,
                     const char *address) {
  (void)sim;
  (void)datacenter;
  (void)rack;
  (void)address;
  return CQL_EUNSUPPORTED;
}

int cql_sim_node_start(cql_sim_t *sim, int node) {
  (void)sim;
  (void)node;
  return CQL_EUNSUPPORTED;
}

int cql_sim_node_kill(cql_sim_t *sim, int node) {
  (void)sim;
  (void)node;
  return CQL_EUNSUPPORTED;
}

int cql_sim_node_stop(cql_sim_t *sim, int node) {
  (void)sim;
  (void)node;
  return CQL_EUNSUPPORTED;
}

int cql_sim_node_pause(cql_sim_t *sim, int node) {
  (void)sim;
  (void)node;
  return CQL_EUNSUPPORTED;
}

int cql_sim_node_resume(cql_sim_t *sim, int node) {
  (void)sim;
  (void)node;
  return CQL_EUNSUPPORTED;
}

int cql_sim_node_vanish(cql_sim_t *sim, int node) {
  (void)sim;
  (void)node;
  return CQL_EUNSUPPORTED;
}

int cql_sim_node_decommission(cql_sim_t *sim, int node) {
  (void)sim;
  (void)node;
  return CQL_EUNSUPPORTED;
}

int cql_sim_node_move(cql_sim_t *sim, int node, const char *address) {
  (void)sim;
  (void)node;
  (void)address;
  return CQL_EUNSUPPORTED;
}

int cql_sim_node_forget(cql_sim_t *sim, int node, const char *text) {
  (void)sim;
  (void)node;
  (void)text;
  return CQL_EUNSUPPORTED;
}

int cql_sim_node_count(const cql_sim_t *sim) {
  (void)sim;
  return CQL_EUNSUPPORTED;
}

int cql_sim_node_state(const cql_sim_t *sim, int node) {
  (void)sim;
  (void)node;
  return CQL_EUNSUPPORTED;
}

const char *cql_sim_node_address(const cql_sim_t *sim, int node) {
  (void)sim;
  (void)node;
  return NULL;
}

const char *cql_sim_node_host_id(const cql_sim_t *sim, int node) {
  (void)sim;
  (void)node;
  return NULL;
}

int cql_sim_cut(cql_sim_t *sim, int place, int other) {
  (void)sim;
  (void)place;
  (void)other;
  return CQL_EUNSUPPORTED;
}

int cql_sim_heal(cql_sim_t *sim, int place, int other) {
  (void)sim;
  (void)place;
  (void)other;
  return CQL_EUNSUPPORTED;
}

int cql_sim_stall(cql_sim_t *sim, int node, int64_t us) {
  (void)sim;
  (void)node;
  (void)us;
  return CQL_EUNSUPPORTED;
}

int cql_sim_exhaust(cql_sim_t *sim, int count) {
  (void)sim;
  (void)count;
  return CQL_EUNSUPPORTED;
}

int cql_sim_connection_count(const cql_sim_t *sim, int node) {
  (void)sim;
  (void)node;
  return CQL_EUNSUPPORTED;
}

int cql_sim_connection(cql_sim_t *sim, int node, int index, cql_sim_connection_t *out) {
  (void)sim;
  (void)node;
  (void)index;
  (void)out;
  return CQL_EUNSUPPORTED;
}

int cql_sim_connection_end(cql_sim_t *sim, int connection, int how) {
  (void)sim;
  (void)connection;
  (void)how;
  return CQL_EUNSUPPORTED;
}

int cql_sim_connection_say(cql_sim_t *sim, int connection, const uint8_t *bytes, size_t size) {
  (void)sim;
  (void)connection;
  (void)bytes;
  (void)size;
  return CQL_EUNSUPPORTED;
}

int cql_sim_tell(cql_sim_t *sim, int from, const char *type, const char *change, int node) {
  (void)sim;
  (void)from;
  (void)type;
  (void)change;
  (void)node;
  return CQL_EUNSUPPORTED;
}

int cql_sim_tell_raw(cql_sim_t *sim, int from, const uint8_t *body, size_t size) {
  (void)sim;
  (void)from;
  (void)body;
  (void)size;
  return CQL_EUNSUPPORTED;
}

int cql_sim_rule_new(cql_sim_t *sim) {
  (void)sim;
  return CQL_EUNSUPPORTED;
}

int cql_sim_rule_set(cql_sim_t *sim, int rule, const char *name, const uint8_t *value,
                     size_t size) {
  (void)sim;
  (void)rule;
  (void)name;
  (void)value;
  (void)size;
  return CQL_EUNSUPPORTED;
}

int cql_sim_rule_columns(cql_sim_t *sim, int rule, const char *columns) {
  (void)sim;
  (void)rule;
  (void)columns;
  return CQL_EUNSUPPORTED;
}

int cql_sim_rule_row(cql_sim_t *sim, int rule, const char *values) {
  (void)sim;
  (void)rule;
  (void)values;
  return CQL_EUNSUPPORTED;
}

int cql_sim_rule_row_encoded(cql_sim_t *sim, int rule, const uint8_t *encoded, size_t size) {
  (void)sim;
  (void)rule;
  (void)encoded;
  (void)size;
  return CQL_EUNSUPPORTED;
}

int cql_sim_rule_remove(cql_sim_t *sim, int rule) {
  (void)sim;
  (void)rule;
  return CQL_EUNSUPPORTED;
}

int64_t cql_sim_rule_played(const cql_sim_t *sim, int rule) {
  (void)sim;
  (void)rule;
  return 0;
}

int cql_sim_session_new(cql_sim_t *sim, const cql_config_t *config, cql_session_t **out) {
  (void)sim;
  (void)config;
  (void)out;
  return CQL_EUNSUPPORTED;
}

int cql_sim_session_place(cql_sim_t *sim, const cql_session_t *session) {
  (void)sim;
  (void)session;
  return CQL_EUNSUPPORTED;
}

int cql_sim_session_due(cql_sim_t *sim, cql_session_t *session) {
  (void)sim;
  (void)session;
  return CQL_EUNSUPPORTED;
}

int cql_sim_session_stall(cql_sim_t *sim, cql_session_t *session, int64_t us) {
  (void)sim;
  (void)session;
  (void)us;
  return CQL_EUNSUPPORTED;
}

int cql_sim_run(cql_sim_t *sim, int64_t until_us) {
  (void)sim;
  (void)until_us;
  return CQL_EUNSUPPORTED;
}

int cql_sim_pass(cql_sim_t *sim, int64_t us) {
  (void)sim;
  (void)us;
  return CQL_EUNSUPPORTED;
}

cql_session_t *cql_sim_due(cql_sim_t *sim) {
  (void)sim;
  return NULL;
}

int cql_sim_alarm_set(cql_sim_t *sim, int64_t at_us, uint32_t tag) {
  (void)sim;
  (void)at_us;
  (void)tag;
  return CQL_EUNSUPPORTED;
}

int cql_sim_alarm_take(cql_sim_t *sim, uint32_t *tag) {
  (void)sim;
  (void)tag;
  return CQL_EUNSUPPORTED;
}

uint64_t cql_sim_random(cql_sim_t *sim, uint64_t below) {
  (void)sim;
  (void)below;
  return 0;
}

int cql_sim_counters(const cql_sim_t *sim, int node, cql_sim_counters_t *out) {
  (void)sim;
  (void)node;
  (void)out;
  return CQL_EUNSUPPORTED;
}

int64_t cql_sim_asked_count(const cql_sim_t *sim) {
  (void)sim;
  return 0;
}

int cql_sim_asked(cql_sim_t *sim, int64_t index, cql_sim_asked_t *out) {
  (void)sim;
  (void)index;
  (void)out;
  return CQL_EUNSUPPORTED;
}

int cql_sim_trace(cql_sim_t *sim, int level) {
  (void)sim;
  (void)level;
  return CQL_EUNSUPPORTED;
}

int cql_sim_trace_take(cql_sim_t *sim, char *out, size_t size) {
  (void)sim;
  (void)out;
  (void)size;
  return CQL_EUNSUPPORTED;
}

int64_t cql_sim_token(const uint8_t *key, size_t size) {
  (void)key;
  (void)size;
  return 0;
}

int cql_sim_replicas(cql_sim_t *sim, const char *keyspace, const char *table, int64_t token,
                     int32_t *out, int max) {
  (void)sim;
  (void)keyspace;
  (void)table;
  (void)token;
  (void)out;
  (void)max;
  return CQL_EUNSUPPORTED;
}

int cql_sim_tablet_move(cql_sim_t *sim, const char *keyspace, const char *table, int64_t token,
                        const char *replicas) {
  (void)sim;
  (void)keyspace;
  (void)table;
  (void)token;
  (void)replicas;
  return CQL_EUNSUPPORTED;
}

int cql_sim_serve(cql_sim_t *sim) {
  (void)sim;
  return CQL_EUNSUPPORTED;
}

int cql_sim_serve_fd(const cql_sim_t *sim) {
  (void)sim;
  return CQL_EUNSUPPORTED;
}

int cql_sim_serve_timeout(cql_sim_t *sim) {
  (void)sim;
  return CQL_EUNSUPPORTED;
}

int cql_sim_serve_step(cql_sim_t *sim, int wait_ms) {
  (void)sim;
  (void)wait_ms;
  return CQL_EUNSUPPORTED;
}
