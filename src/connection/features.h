/* Features: what a ScyllaDB node offers in SUPPORTED beside the protocol, and what is asked for of
 * it in STARTUP [scylladb docs/dev/protocol-extensions.md]. A Cassandra offers none of it. What is
 * offered in words that can't be understood is off, and counted. */
#ifndef CQL_CONNECTION_FEATURES_H
#define CQL_CONNECTION_FEATURES_H

#include "message/request.h"
#include "wire/cursor.h"

/* Which of them are wanted. */
enum {
  CQL__FEATURE_SHARDS = 1,
  CQL__FEATURE_SHARD_PORT = 2,
  CQL__FEATURE_LWT_MARK = 4,
  CQL__FEATURE_RATE_LIMIT = 8,
  CQL__FEATURE_TABLETS = 16,
  CQL__FEATURE_METADATA_ID = 32,
  CQL__FEATURES_ALL = 63
};

enum { CQL__FEATURE_PAIRS_MAX = 4 }; /* that they add to STARTUP */
enum { CQL__FEATURE_TEXT = 64 };     /* what their values may need */

typedef struct cql__features {
  uint32_t shard_count; /* 1 where shards are not known */
  uint32_t shard;       /* that serves this connection, below shard_count */
  int16_t shard_told;   /* the same as it is told to the host: -1 where shards are not known */
  uint8_t ignore_msb;   /* see cluster/shard.h */
  uint8_t has_host_id;
  uint8_t host_id[16];       /* of the node that answered */
  uint16_t shard_port;       /* 0: there is none, or it isn't wanted */
  uint16_t shard_port_tls;   /* likewise */
  uint32_t lwt_mask;         /* of the bind metadata's flags; 0: off */
  int32_t rate_limit_code;   /* of ERROR; 0: off */
  uint8_t tablets;           /* payloads with tablets come */
  uint8_t offers_tablets_v2; /* which is never asked for */
  uint8_t metadata_id;       /* PREPARED and EXECUTE carry that of the columns; v5 always does */
  uint8_t is_scylla;         /* it offers anything of this */
  uint32_t refused;          /* how many offers weren't understood */
} cql__features;

/* Of a connection that has none, in that version of the protocol. */
void cql__features_init(cql__features *features, int version);
/* Of SUPPORTED, as far as `wanted` goes. CQL_EMALFORMED: it can't be decoded. */
int cql__features_read(cql__features *features, int version, uint32_t wanted, cql__cursor body);
/* What STARTUP says to have them: how many pairs, at most CQL__FEATURE_PAIRS_MAX. They live as
 * long as `room`. */
unsigned cql__features_startup(const cql__features *features, int version, cql__pair *out,
                               char room[CQL__FEATURE_TEXT]);

#endif
