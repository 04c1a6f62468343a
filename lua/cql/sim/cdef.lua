-- Generated from include/cql_sim.h by tools/cdef (./dev generate): do not edit.
return [==[
enum {
  CQL_SIM_ALL = -1,
  CQL_SIM_CLIENTS = -2
};
enum {
  CQL_SIM_TIME = 0,
  CQL_SIM_SESSION = 1,
  CQL_SIM_ALARM = 2,
  CQL_SIM_IDLE = 3
};
enum {
  CQL_SIM_NEW = 0,
  CQL_SIM_BOOTING = 1,
  CQL_SIM_UP = 2,
  CQL_SIM_PAUSED = 3,
  CQL_SIM_DOWN = 4,
  CQL_SIM_GONE = 5
};
enum {
  CQL_SIM_CLOSE = 0,
  CQL_SIM_RESET = 1,
  CQL_SIM_HALF_OPEN = 2
};
enum {
  CQL_SIM_WRONG_SHARD = 1,
  CQL_SIM_NOT_REPLICA = 2,
  CQL_SIM_UNKNOWN_ID = 4,
  CQL_SIM_BAD_FRAME = 8,
  CQL_SIM_BAD_STREAM = 16,
  CQL_SIM_NOT_READY = 32
};
typedef struct cql_sim_s cql_sim_t;
typedef struct cql_sim_asked_s {
  int64_t at_us;
  int64_t token;
  int32_t node;
  int32_t shard;
  int32_t connection;
  int32_t place;
  int32_t stream;
  int32_t opcode;
  int32_t consistency;
  int32_t version;
  int32_t verdict;
  int32_t rule;
  int32_t error;
  int32_t has_token;
  int32_t page_size;
  int32_t value_count;
  int32_t statements;
  cql_slice_t text;
  cql_slice_t keyspace;
} cql_sim_asked_t;
typedef struct cql_sim_connection_s {
  int32_t id;
  int32_t node;
  int32_t shard;
  int32_t place;
  int32_t port;
  int32_t source_port;
  int32_t version;
  int32_t compressed;
  int32_t ready;
  int32_t registered;
  int32_t in_flight;
  int32_t reserved;
  cql_slice_t keyspace;
  cql_slice_t startup;
  cql_slice_t address;
} cql_sim_connection_t;
typedef struct cql_sim_counters_s {
  uint64_t requests;
  uint64_t queries;
  uint64_t prepares;
  uint64_t executes;
  uint64_t batches;
  uint64_t answers;
  uint64_t errors;
  uint64_t events;
  uint64_t unprepared;
  uint64_t primed;
  uint64_t wrong_shard;
  uint64_t not_replica;
  uint64_t unknown_id;
  uint64_t bad_frames;
  uint64_t bad_streams;
  uint64_t not_ready;
  uint64_t payloads;
  uint64_t bytes_in;
  uint64_t bytes_out;
  uint64_t accepted;
  uint64_t refused;
  uint64_t astray;
  uint64_t connections;
  uint64_t in_flight;
} cql_sim_counters_t;
 cql_sim_t *cql_sim_new(uint64_t seed);
 void cql_sim_free(cql_sim_t *sim);
 const char *cql_sim_error(const cql_sim_t *sim);
 int64_t cql_sim_now(const cql_sim_t *sim);
 int cql_sim_set(cql_sim_t *sim, int node, const char *name, const char *value);
 const char *cql_sim_setting(uint32_t index);
 int cql_sim_user(cql_sim_t *sim, const char *name, const char *password);
 int cql_sim_name(cql_sim_t *sim, const char *name, const char *addresses);
 int cql_sim_cql(cql_sim_t *sim, const char *text, size_t length);
 int cql_sim_node_new(cql_sim_t *sim, const char *datacenter, const char *rack,
                             const char *address);
 int cql_sim_node_tokens(cql_sim_t *sim, int node, const int64_t *tokens, size_t count);
 int cql_sim_node_start(cql_sim_t *sim, int node);
 int cql_sim_node_kill(cql_sim_t *sim, int node);
 int cql_sim_node_stop(cql_sim_t *sim, int node);
 int cql_sim_node_pause(cql_sim_t *sim, int node);
 int cql_sim_node_resume(cql_sim_t *sim, int node);
 int cql_sim_node_vanish(cql_sim_t *sim, int node);
 int cql_sim_node_decommission(cql_sim_t *sim, int node);
 int cql_sim_node_move(cql_sim_t *sim, int node, const char *address);
 int cql_sim_node_forget(cql_sim_t *sim, int node, const char *text);
 int cql_sim_node_count(const cql_sim_t *sim);
 int cql_sim_node_state(const cql_sim_t *sim, int node);
 const char *cql_sim_node_address(const cql_sim_t *sim, int node);
 const char *cql_sim_node_host_id(const cql_sim_t *sim, int node);
 int cql_sim_cut(cql_sim_t *sim, int place, int other);
 int cql_sim_heal(cql_sim_t *sim, int place, int other);
 int cql_sim_stall(cql_sim_t *sim, int node, int64_t us);
 int cql_sim_exhaust(cql_sim_t *sim, int count);
 int cql_sim_exhausted(const cql_sim_t *sim);
 int cql_sim_connection_count(const cql_sim_t *sim, int node);
 int cql_sim_connection(cql_sim_t *sim, int node, int index, cql_sim_connection_t *out);
 int cql_sim_connection_end(cql_sim_t *sim, int connection, int how);
 int cql_sim_connection_say(cql_sim_t *sim, int connection, const uint8_t *bytes,
                                   size_t size);
 int cql_sim_forward(cql_sim_t *sim, const char *address, int port, int node,
                            const char *server_name);
 int cql_sim_tell(cql_sim_t *sim, int from, const char *type, const char *change, int node);
 int cql_sim_tell_raw(cql_sim_t *sim, int from, const uint8_t *body, size_t size);
 int cql_sim_route(cql_sim_t *sim, const char *connection_id, int node, const char *address,
                          int port, int tls_port);
 int cql_sim_rule_new(cql_sim_t *sim);
 int cql_sim_rule_set(cql_sim_t *sim, int rule, const char *name, const uint8_t *value,
                             size_t size);
 int cql_sim_rule_columns(cql_sim_t *sim, int rule, const char *columns);
 int cql_sim_rule_row(cql_sim_t *sim, int rule, const char *values);
 int cql_sim_rule_row_encoded(cql_sim_t *sim, int rule, const uint8_t *encoded, size_t size);
 int cql_sim_rule_remove(cql_sim_t *sim, int rule);
 int64_t cql_sim_rule_played(const cql_sim_t *sim, int rule);
 int cql_sim_session_new(cql_sim_t *sim, const cql_config_t *config, cql_session_t **out);
 int cql_sim_session_place(cql_sim_t *sim, const cql_session_t *session);
 int cql_sim_session_due(cql_sim_t *sim, cql_session_t *session);
 int cql_sim_session_stall(cql_sim_t *sim, cql_session_t *session, int64_t us);
 int cql_sim_run(cql_sim_t *sim, int64_t until_us);
 int cql_sim_pass(cql_sim_t *sim, int64_t us);
 cql_session_t *cql_sim_due(cql_sim_t *sim);
 int cql_sim_alarm_set(cql_sim_t *sim, int64_t at_us, uint32_t tag);
 int cql_sim_alarm_take(cql_sim_t *sim, uint32_t *tag);
 uint64_t cql_sim_random(cql_sim_t *sim, uint64_t below);
 int cql_sim_counters(const cql_sim_t *sim, int node, cql_sim_counters_t *out);
 int64_t cql_sim_asked_count(const cql_sim_t *sim);
 int cql_sim_asked(cql_sim_t *sim, int64_t index, cql_sim_asked_t *out);
 int cql_sim_trace(cql_sim_t *sim, int level);
 int cql_sim_trace_take(cql_sim_t *sim, char *out, size_t size);
 int64_t cql_sim_token(const uint8_t *key, size_t size);
 int cql_sim_replicas(cql_sim_t *sim, const char *keyspace, const char *table, int64_t token,
                             int32_t *out, int max);
 int cql_sim_tablet_move(cql_sim_t *sim, const char *keyspace, const char *table,
                                int64_t token, const char *replicas);
 int cql_sim_serve(cql_sim_t *sim);
 int cql_sim_serve_fd(const cql_sim_t *sim);
 int cql_sim_serve_timeout(cql_sim_t *sim);
 int cql_sim_serve_step(cql_sim_t *sim, int wait_ms);
 int cql_sim_serve_stop(cql_sim_t *sim);
]==]
