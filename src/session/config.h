/* Config: options by name, one table for parsing, defaults, documentation and "did you mean". */
#ifndef CQL_SESSION_CONFIG_H
#define CQL_SESSION_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "cql.h"

/* Of an option for remote nodes that was not given: they are as the others. */
enum { CQL__AS_OTHERS = -1 };

enum { CQL__VERIFY_NONE = 0, CQL__VERIFY_CHAIN, CQL__VERIFY_FULL };

struct cql_config_s {
  char *contact_points;
  int64_t port;
  char *keyspace;
  char *username, *password;
  int64_t protocol_version; /* 0: the highest in common */
  int64_t protocol_version_min;
  int64_t compression; /* 1: LZ4 */
  int64_t compression_min;
  int64_t consistency, serial_consistency;
  int64_t page_size;
  int64_t request_timeout_ms, connect_timeout_ms, resolve_timeout_ms, question_timeout_ms;
  int64_t heartbeat_ms, heartbeat_timeout_ms;
  int64_t reconnect_min_ms, reconnect_max_ms;
  int64_t connect_retry;
  char *local_datacenter, *local_rack;
  int64_t datacenter_failover, failover_local_consistency;
  int64_t discover;
  int64_t connections_per_shard, connections_per_node;
  int64_t requests_max, streams_max, frame_size_max;
  int64_t server_timestamps;
  int64_t throw_on_overload;
  int64_t prepare_on_all;
  int64_t schema_agreement_ms, schema_agreement_interval_ms;
  int64_t shard_aware, shard_aware_port, tablets, lwt_mark, metadata_id, rate_limit_error;
  char *client_routes;
  int64_t source_port_min, source_port_max;
  int64_t ask_authenticate, ask_distance, ask_endpoint;
  char *application_name, *application_version, *client_id;
  int64_t tls, tls_verify, tls_min_version;
  char *tls_ca, *tls_cert, *tls_key, *tls_key_password, *tls_name, *tls_sni;
  int64_t tcp_nodelay, tcp_keepalive, send_buffer, receive_buffer;
  char *local_address;
  /* the same for remote nodes; CQL__AS_OTHERS */
  int64_t remote_connections_per_shard, remote_connections_per_node;
  int64_t remote_connect_timeout_ms, remote_heartbeat_ms, remote_heartbeat_timeout_ms;
  int64_t remote_send_buffer, remote_receive_buffer;
  char error[320];
};

int cql__config_set(cql_config_t *config, const char *name, const char *value);
const char *cql__config_option(uint32_t index);
cql_config_t *cql__config_new(void);
/* A copy, so that a session doesn't depend on the caller's. */
cql_config_t *cql__config_copy(const cql_config_t *config);
void cql__config_free(cql_config_t *config);

#endif
