-- Generated from include/cql.h by tools/cdef (./dev generate): do not edit.
return [==[
enum {
  CQL_ENOMEM = (-1), CQL_EINVAL = (-2), CQL_EBUSY = (-3), CQL_ECLOSED = (-4), CQL_ETIMEOUT = (-5), CQL_ECONNECTION = (-6), CQL_ENOHOST = (-7), CQL_ESERVER = (-8), CQL_EMALFORMED = (-9), CQL_EPROTOCOL = (-10), CQL_EVERSION = (-11), CQL_EAUTH = (-12), CQL_ETLS = (-13), CQL_ECONNECT = (-14), CQL_ERESOLVE = (-15), CQL_EOPTION = (-16), CQL_EFORKED = (-17), CQL_ETOOBIG = (-18), CQL_EUNSUPPORTED = (-19), CQL_EPREPARED = (-20), CQL_EKEYSPACE = (-21), CQL_ECLUSTER = (-22), CQL_EIO = (-23), CQL_ECANCELLED = (-24), CQL_EVALUE = (-25), CQL_ENOPASSWORD = (-26), CQL_EMECHANISM = (-27),
      CQL_OK = 0
};
enum {
  CQL_ANY = 0,
  CQL_ONE = 1,
  CQL_TWO = 2,
  CQL_THREE = 3,
  CQL_QUORUM = 4,
  CQL_ALL = 5,
  CQL_LOCAL_QUORUM = 6,
  CQL_EACH_QUORUM = 7,
  CQL_SERIAL = 8,
  CQL_LOCAL_SERIAL = 9,
  CQL_LOCAL_ONE = 10
};
enum {
  CQL_CUSTOM = 0x00,
  CQL_ASCII = 0x01,
  CQL_BIGINT = 0x02,
  CQL_BLOB = 0x03,
  CQL_BOOLEAN = 0x04,
  CQL_COUNTER = 0x05,
  CQL_DECIMAL = 0x06,
  CQL_DOUBLE = 0x07,
  CQL_FLOAT = 0x08,
  CQL_INT = 0x09,
  CQL_TIMESTAMP = 0x0B,
  CQL_UUID = 0x0C,
  CQL_TEXT = 0x0D,
  CQL_VARINT = 0x0E,
  CQL_TIMEUUID = 0x0F,
  CQL_INET = 0x10,
  CQL_DATE = 0x11,
  CQL_TIME = 0x12,
  CQL_SMALLINT = 0x13,
  CQL_TINYINT = 0x14,
  CQL_DURATION = 0x15,
  CQL_LIST = 0x20,
  CQL_MAP = 0x21,
  CQL_SET = 0x22,
  CQL_UDT = 0x30,
  CQL_TUPLE = 0x31,
  CQL_VECTOR = 0x100
};
enum { CQL_NULL = -1, CQL_UNSET = -2 };
enum { CQL_LOGGED = 0, CQL_UNLOGGED = 1, CQL_COUNTER_BATCH = 2 };
enum { CQL_DONE = 1, CQL_EVENT = 2, CQL_QUESTION = 3 };
enum { CQL_RATE_LIMIT_ERROR = 0xF000 };
enum {
  CQL_RESULT_ERROR = 0,
  CQL_RESULT_VOID = 1,
  CQL_RESULT_ROWS = 2,
  CQL_RESULT_KEYSPACE = 3,
  CQL_RESULT_PREPARED = 4,
  CQL_RESULT_SCHEMA_CHANGE = 5
};
enum {
  CQL_EVENT_READY = 1,
  CQL_EVENT_FAILED = 2,
  CQL_EVENT_CONNECTION_OPENED = 3,
  CQL_EVENT_CONNECTION_FAILED = 4,
  CQL_EVENT_CONNECTION_CLOSED = 5,
  CQL_EVENT_WARNING = 6,
  CQL_EVENT_CLOSED = 7,
  CQL_EVENT_NODE_ADDED = 8,
  CQL_EVENT_NODE_REMOVED = 9,
  CQL_EVENT_NODE_UP = 10,
  CQL_EVENT_NODE_DOWN = 11,
  CQL_EVENT_NODE_MOVED = 12,
  CQL_EVENT_DISTANCE = 13,
  CQL_EVENT_CONTROL_OPENED = 14,
  CQL_EVENT_CONTROL_FAILED = 15,
  CQL_EVENT_CONTROL_CLOSED = 16,
  CQL_EVENT_TOPOLOGY = 17,
  CQL_EVENT_KEYSPACE = 18,
  CQL_EVENT_AGREEMENT = 19,
  CQL_EVENT_REPREPARED = 20,
  CQL_EVENT_TABLET = 21,
  CQL_EVENT_RESOLVE_FAILED = 22,
  CQL_EVENT_STATUS_CHANGE = 23,
  CQL_EVENT_TOPOLOGY_CHANGE = 24,
  CQL_EVENT_SCHEMA_CHANGE = 25
};
enum {
  CQL_ASK_AUTHENTICATE = 1,
  CQL_ASK_DISTANCE = 2,
  CQL_ASK_ENDPOINT = 3
};
enum {
  CQL_DISTANCE_RACK = 0,
  CQL_DISTANCE_LOCAL = 1,
  CQL_DISTANCE_REMOTE = 2,
  CQL_DISTANCE_IGNORED = 3
};
enum {
  CQL_OPTION_TRACING = 1,
  CQL_OPTION_IDEMPOTENT = 2,
  CQL_OPTION_TIMESTAMP = 4,
  CQL_OPTION_SERVER_TIMESTAMP = 8,
  CQL_OPTION_NOW_IN_SECONDS = 16,
  CQL_OPTION_SKIP_METADATA = 32,
  CQL_OPTION_NO_AGREEMENT = 64
};
typedef struct cql_config_s cql_config_t;
typedef struct cql_session_s cql_session_t;
typedef struct cql_request_s cql_request_t;
typedef struct cql_prepared_s cql_prepared_t;
typedef struct cql_node_s cql_node_t;
typedef struct cql_slice_s {
  const uint8_t *data;
  int32_t length;
} cql_slice_t;
typedef struct cql_type_s cql_type_t;
struct cql_type_s {
  int32_t kind;
  uint32_t child_count;
  const cql_type_t *children;
  const cql_slice_t *names;
  cql_slice_t keyspace;
  cql_slice_t name;
  uint32_t dimension;
  int32_t fixed_size;
};
typedef struct cql_column_s {
  cql_slice_t keyspace;
  cql_slice_t table;
  cql_slice_t name;
  cql_type_t type;
} cql_column_t;
typedef struct cql_metadata_s {
  uint32_t id;
  uint32_t column_count;
  const cql_column_t *columns;
  uint32_t key_count;
  const uint16_t *key_indexes;
} cql_metadata_t;
typedef struct cql_cell_s {
  union {
    int64_t integer;
    double real;
    const uint8_t *bytes;
  } as;
  int32_t length;
  int32_t reserved;
} cql_cell_t;
typedef struct cql_items_s {
  const cql_type_t *type;
  const uint8_t *next;
  const uint8_t *end;
  uint32_t count;
  uint32_t index;
} cql_items_t;
typedef struct cql_result_s {
  int32_t kind;
  int32_t error_code;
  uint32_t row_count;
  const cql_metadata_t *metadata;
  cql_slice_t paging_state;
  cql_slice_t bound;
  uint32_t bound_count;
  cql_slice_t message;
  cql_slice_t detail;
  cql_slice_t warnings;
  cql_slice_t payload;
  const uint8_t *tracing_id;
  int32_t protocol_version;
} cql_result_t;
typedef struct cql_error_detail_s {
  int32_t consistency;
  int32_t received;
  int32_t required;
  int32_t failures;
  int32_t data_present;
  int32_t contentions;
  int32_t operation;
  int32_t rejected_by_coordinator;
  cql_slice_t write_type;
  cql_slice_t keyspace;
  cql_slice_t table;
  cql_slice_t arguments;
  cql_slice_t reasons;
  cql_slice_t unknown_id;
} cql_error_detail_t;
typedef struct cql_schema_change_s {
  cql_slice_t change;
  cql_slice_t target;
  cql_slice_t keyspace;
  cql_slice_t name;
  cql_slice_t arguments;
} cql_schema_change_t;
typedef struct cql_event_s {
  int32_t type;
  int32_t status;
  const char *address;
  const char *message;
  cql_slice_t data;
  cql_node_t *node;
  int32_t shard;
  cql_schema_change_t schema;
} cql_event_t;
typedef struct cql_node_info_s {
  uint8_t host_id[16];
  const char *address;
  const char *datacenter;
  const char *rack;
  const char *version;
  int32_t distance;
  uint32_t connections;
  uint32_t in_flight;
  uint32_t shards;
} cql_node_info_t;
typedef struct cql_target_s {
  cql_node_t *node;
  int32_t shard;
  int32_t replica;
} cql_target_t;
typedef struct cql_completion_s {
  uint32_t tag;
  int32_t kind;
  int32_t status;
  int32_t code;
  cql_result_t *result;
  const cql_event_t *event;
  const char *address;
  uint32_t attempts;
  int32_t consistency;
  int32_t shard;
  int32_t schema_agreed;
} cql_completion_t;
typedef struct cql_options_s {
  int32_t consistency;
  int32_t serial_consistency;
  int32_t page_size;
  int32_t timeout_ms;
  uint32_t flags;
  int32_t now_in_seconds;
  int64_t timestamp;
  cql_slice_t paging_state;
  cql_slice_t keyspace;
  cql_slice_t payload;
} cql_options_t;
typedef struct cql_metrics_s {
  uint64_t requests;
  uint64_t completed;
  uint64_t timeouts;
  uint64_t retries;
  uint64_t bytes_sent;
  uint64_t bytes_received;
  uint64_t writes;
  uint64_t reads;
  uint64_t connections_opened;
  uint64_t connections_failed;
  uint64_t connections_lost;
  uint64_t unknown_streams;
  uint64_t events_dropped;
  uint64_t tablets_refused;
  uint64_t statements_warmed;
  uint64_t features_refused;
  uint32_t in_flight;
  uint32_t queued;
  uint32_t taken;
  uint32_t own;
  uint32_t orphans;
  uint32_t connections;
  uint32_t protocol_version;
} cql_metrics_t;
 uint32_t cql_abi_version(void);
 const char *cql_version(void);
 const char *cql_error_name(int error);
 const char *cql_error_text(int error);
 const char *cql_server_error_name(int code);
 int cql_set_allocator(void *(*allocate)(size_t), void *(*reallocate)(void *, size_t),
                              void (*release)(void *));
 cql_config_t *cql_config_new(void);
 int cql_config_set(cql_config_t *config, const char *name, const char *value);
 const char *cql_config_error(const cql_config_t *config);
 const char *cql_config_option(uint32_t index);
 void cql_config_free(cql_config_t *config);
 int cql_session_new(const cql_config_t *config, cql_session_t **out);
 int cql_session_fd(const cql_session_t *session);
 int cql_session_timeout(cql_session_t *session);
 int cql_session_step(cql_session_t *session, int wait_ms);
 int cql_session_flush(cql_session_t *session);
 int cql_poll(cql_session_t *session, uint32_t max, cql_completion_t *out);
 int cql_answer(cql_session_t *session, uint32_t tag, const uint8_t *data, int32_t length);
 int cql_session_close(cql_session_t *session, int drain_ms);
 void cql_session_free(cql_session_t *session);
 int cql_session_metrics(const cql_session_t *session, cql_metrics_t *out);
 int cql_session_use(cql_session_t *session, const char *keyspace, size_t length,
                            uint32_t tag);
 int cql_session_agreement(cql_session_t *session, int timeout_ms, uint32_t tag);
 int cql_session_dump(const cql_session_t *session, char *out, size_t size);
 uint32_t cql_session_nodes(const cql_session_t *session, uint32_t max, cql_node_t **out);
 cql_node_t *cql_node_ref(cql_node_t *node);
 void cql_node_unref(cql_node_t *node);
 int cql_node_info(const cql_node_t *node, cql_node_info_t *out);
 int cql_session_refresh(cql_session_t *session);
 int cql_session_refresh_distances(cql_session_t *session);
 int cql_request_take(cql_session_t *session, cql_request_t **out);
 void cql_request_discard(cql_request_t *request);
 int cql_request_query(cql_request_t *request, const char *text, size_t length);
 int cql_request_prepare(cql_request_t *request, const char *text, size_t length);
 int cql_request_execute(cql_request_t *request, cql_prepared_t *prepared);
 int cql_request_batch(cql_request_t *request, int type);
 int cql_batch_add_query(cql_request_t *request, const char *text, size_t length,
                                const uint8_t *encoded, size_t size, uint32_t count);
 int cql_batch_add_prepared(cql_request_t *request, cql_prepared_t *prepared,
                                   const uint8_t *encoded, size_t size, uint32_t count);
 int cql_bind(cql_request_t *request, const cql_slice_t *values, uint32_t count);
 int cql_bind_named(cql_request_t *request, const cql_slice_t *names,
                           const cql_slice_t *values, uint32_t count);
 int cql_bind_encoded(cql_request_t *request, const uint8_t *encoded, size_t size,
                             uint32_t count);
 int cql_request_options(cql_request_t *request, const cql_options_t *options);
 int cql_request_target(cql_request_t *request, cql_node_t *node, int32_t shard);
 int cql_request_routing_key(cql_request_t *request, const cql_slice_t *parts,
                                    uint32_t count);
 int cql_request_token(cql_request_t *request, int64_t token);
 uint32_t cql_request_plan(cql_request_t *request, uint32_t max, cql_target_t *targets);
 void cql_options_init(cql_options_t *options);
 void cql_submit(cql_request_t *request, uint32_t tag);
 int cql_cancel(cql_session_t *session, uint32_t tag);
 cql_prepared_t *cql_result_prepared(cql_result_t *result);
 cql_prepared_t *cql_prepared_ref(cql_prepared_t *prepared);
 void cql_prepared_unref(cql_prepared_t *prepared);
 const cql_metadata_t *cql_prepared_parameters(const cql_prepared_t *prepared);
 const cql_metadata_t *cql_prepared_columns(const cql_prepared_t *prepared);
 int cql_prepared_is_lwt(const cql_prepared_t *prepared);
 void cql_prepared_text(const cql_prepared_t *prepared, cql_slice_t *out);
 void cql_prepared_id(const cql_prepared_t *prepared, cql_slice_t *out);
 int cql_result_cells(cql_result_t *result, uint32_t max_rows, cql_cell_t *out);
 void cql_result_rewind(cql_result_t *result);
 int cql_result_error(const cql_result_t *result, cql_error_detail_t *out);
 int cql_result_schema_change(const cql_result_t *result, cql_schema_change_t *out);
 void cql_result_free(cql_result_t *result);
 int cql_cell_decode(const cql_type_t *type, const uint8_t *bytes, int32_t length,
                            cql_cell_t *out);
 int cql_items_open(const cql_type_t *type, const uint8_t *bytes, int32_t length,
                           cql_items_t *out);
 int cql_items_next(cql_items_t *items, cql_cell_t *out);
 void cql_uuid_to_text(const uint8_t *bytes, char *out);
 int cql_uuid_from_text(const char *text, size_t length, uint8_t *out);
 int cql_inet_to_text(const uint8_t *bytes, int32_t length, char *out);
 int cql_inet_from_text(const char *text, size_t length, uint8_t *out);
 int cql_date_to_text(int64_t days, char *out);
 int cql_date_from_text(const char *text, size_t length, int64_t *days);
 int cql_varint_to_text(const uint8_t *bytes, int32_t length, char *out, size_t size);
 int cql_varint_from_text(const char *text, size_t length, uint8_t *out, size_t size);
 int cql_duration_decode(const uint8_t *bytes, int32_t length, int32_t *months,
                                int32_t *days, int64_t *nanoseconds);
 int cql_duration_encode(int32_t months, int32_t days, int64_t nanoseconds, uint8_t *out);
 int cql_vint_encode(uint64_t value, uint8_t *out);
 int cql_poke_listen(cql_session_t *session, const char *directory, char *path, size_t size);
 int cql_poke_accept(cql_session_t *session);
 int cql_poke_arm(cql_session_t *session);
 int cql_poke_stop(cql_session_t *session);
 int cql_message_dump(const uint8_t *envelope, size_t length, int blank, char *out,
                             size_t size);
]==]
