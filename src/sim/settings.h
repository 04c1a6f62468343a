/* Settings of nodes and of the world, by name: one table for parsing, defaults and documentation.
 */
#ifndef CQL_SIM_SETTINGS_H
#define CQL_SIM_SETTINGS_H

#include "sim/spread.h"

enum { CQL__SIM_CASSANDRA = 0, CQL__SIM_SCYLLA = 1 };
enum { CQL__SIM_ACCEPT = 0, CQL__SIM_REFUSE, CQL__SIM_DROP };
enum { CQL__SIM_OPEN = 0, CQL__SIM_PASSWORD = 1 };
/* Scylla's extensions, and what a client may ask for in STARTUP */
enum {
  CQL__SIM_LWT_MARK = 1,
  CQL__SIM_RATE_LIMIT = 2,
  CQL__SIM_TABLETS = 4,
  CQL__SIM_METADATA_ID = 8,
  CQL__SIM_SHARDS = 16,
  CQL__SIM_EXTENSIONS = 31
};

typedef struct cql__sim_settings {
  /* of a node */
  int64_t product;
  char version[24];
  int64_t protocol_max, protocol_min;
  int64_t lz4;
  int64_t shards, msb, shard_aware_port;
  int64_t extensions, rate_limit_code;
  int64_t vnodes;
  int64_t port;
  int64_t frame_max;
  int64_t prepared_max;
  int64_t accept, shard_accept, nat, private;
  cql__sim_spread service, latency, connect, boot;
  int64_t bandwidth, window, split;
  /* of the world */
  char cluster_name[64], partitioner[64];
  int64_t auth;
  int64_t busy_ports_min, busy_ports_max;
  cql__sim_spread agreement, gossip, detection, resolve;
  cql__sim_spread read_timeout, write_timeout, truncate_timeout;
} cql__sim_settings;

void cql__sim_settings_init(cql__sim_settings *settings);
/* 0, or CQL_EOPTION and `why`. *of_world: it isn't a node's. */
int cql__sim_settings_set(cql__sim_settings *settings, const char *name, const char *value,
                          int *of_world, char why[512]);
/* NULL: past the last. */
const char *cql__sim_settings_name(uint32_t index);

#endif
