#include "connection/features.h"

#include <stdio.h>

#include "base/limits.h"
#include "message/errors.h"
#include "wire/text.h"

enum {
  HOST_ID,
  SHARD,
  SHARD_COUNT,
  ALGORITHM,
  IGNORE_MSB,
  PARTITIONER,
  SHARD_PORT,
  SHARD_PORT_TLS,
  LWT_MARK,
  RATE_LIMIT,
  TABLETS,
  TABLETS_V2,
  TABLETS_V2_STABLE,
  METADATA_ID,
  KEY_COUNT
};

static const char *const keys[KEY_COUNT] = {
    "SCYLLA_HOST_ID",
    "SCYLLA_SHARD",
    "SCYLLA_NR_SHARDS",
    "SCYLLA_SHARDING_ALGORITHM",
    "SCYLLA_SHARDING_IGNORE_MSB",
    "SCYLLA_PARTITIONER",
    "SCYLLA_SHARD_AWARE_PORT",
    "SCYLLA_SHARD_AWARE_PORT_SSL",
    "SCYLLA_LWT_ADD_METADATA_MARK",
    "SCYLLA_RATE_LIMIT_ERROR",
    "TABLETS_ROUTING_V1",
    "TABLETS_ROUTING_V2_EXPERIMENTAL",
    "TABLETS_ROUTING_V2", /* its name once it is stable */
    "SCYLLA_USE_METADATA_ID",
};

#define LWT_PREFIX        "LWT_OPTIMIZATION_META_BIT_MASK="
#define RATE_LIMIT_PREFIX "ERROR_CODE="
#define SHARDING          "biased-token-round-robin"
#define PARTITIONER_END   "Murmur3Partitioner"

/* What stands under a key; not there: length CQL_NULL. */
typedef struct offer {
  cql_slice_t list; /* its values, with their count */
  cql_slice_t first;
} offer;

static int is_there(const offer *o) { return o->list.length >= 0; }

static int find_offers(cql__cursor body, offer offers[KEY_COUNT]) {
  for (int i = 0; i < KEY_COUNT; i++) offers[i] = (offer){{NULL, CQL_NULL}, {NULL, 0}};
  for (uint16_t left = cql__read_u16(&body); left && !body.broken; left--) {
    cql_slice_t name = cql__read_short_bytes(&body);
    cql_slice_t list = cql__read_string_list(&body);
    if (body.broken) break;
    for (int i = 0; i < KEY_COUNT; i++) {
      if (is_there(&offers[i]) || !cql__slice_is(name, keys[i])) continue;
      cql__cursor values = cql__cursor_of(list.data, (size_t)list.length);
      offers[i].list = list;
      if (cql__read_u16(&values)) offers[i].first = cql__read_short_bytes(&values);
    }
  }
  return body.broken ? CQL_EMALFORMED : 0;
}

/* Decimal digits and nothing else, from `min` to `max`. */
static int read_number(cql_slice_t text, uint64_t min, uint64_t max, uint64_t *out) {
  uint64_t value = 0;
  if (text.length < 1 || text.length > 10) return 0;
  for (int32_t i = 0; i < text.length; i++) {
    unsigned digit = (unsigned)text.data[i] - '0';
    if (digit > 9) return 0;
    value = value * 10 + digit;
  }
  *out = value;
  return value >= min && value <= max;
}

/* What follows `prefix` in the first value that begins with it. */
static cql_slice_t find_value(const offer *o, const char *prefix, cql_slice_t *whole) {
  cql__cursor values = cql__cursor_of(o->list.data, (size_t)o->list.length);
  size_t length = strlen(prefix);
  for (uint16_t left = cql__read_u16(&values); left; left--) {
    cql_slice_t value = cql__read_short_bytes(&values);
    if ((size_t)value.length < length || memcmp(value.data, prefix, length) != 0) continue;
    *whole = value;
    return (cql_slice_t){value.data + length, value.length - (int32_t)length};
  }
  return (cql_slice_t){NULL, 0};
}

static int ends_with(cql_slice_t text, const char *end) {
  int32_t length = (int32_t)strlen(end);
  return text.length >= length &&
         memcmp(text.data + text.length - length, end, (size_t)length) == 0;
}

/* ---- each of them: 1 understood, 0 not; what is not there is not asked ---- */

static int read_host_id(cql__features *f, const offer *o) {
  if (cql__uuid_from_text((const char *)o->first.data, (size_t)o->first.length, f->host_id))
    return 0;
  f->has_host_id = 1;
  return 1;
}

/* All of it or nothing: half of it would send requests to wrong shards. */
static int read_shards(cql__features *f, const offer offers[KEY_COUNT]) {
  uint64_t count, shard, msb;
  if (!cql__slice_is(offers[ALGORITHM].first, SHARDING) ||
      !ends_with(offers[PARTITIONER].first, PARTITIONER_END) ||
      !read_number(offers[SHARD_COUNT].first, 1, CQL__SHARDS_MAX, &count) ||
      !read_number(offers[SHARD].first, 0, count - 1, &shard) ||
      !read_number(offers[IGNORE_MSB].first, 0, 63, &msb))
    return 0;
  f->shard_count = (uint32_t)count;
  f->shard = (uint32_t)shard;
  f->shard_told = (int16_t)shard;
  f->ignore_msb = (uint8_t)msb;
  return 1;
}

static int read_port(uint16_t *out, const offer *o) {
  uint64_t port;
  if (!read_number(o->first, 1, 65535, &port)) return 0;
  *out = (uint16_t)port;
  return 1;
}

/* Bit 31 as it is today: unsigned. */
static int read_lwt_mark(cql__features *f, const offer *o) {
  uint64_t mask;
  cql_slice_t whole;
  if (!read_number(find_value(o, LWT_PREFIX, &whole), 1, UINT32_MAX, &mask)) return 0;
  f->lwt_mask = (uint32_t)mask;
  return 1;
}

/* A number that means something else already is none for it. */
static int read_rate_limit(cql__features *f, const offer *o) {
  uint64_t code;
  cql_slice_t whole;
  if (!read_number(find_value(o, RATE_LIMIT_PREFIX, &whole), 1, INT32_MAX, &code)) return 0;
  if (code != CQL_RATE_LIMIT_ERROR && cql__error_is_known((int)code)) return 0;
  f->rate_limit_code = (int32_t)code;
  return 1;
}

static void read_sharding(cql__features *f, uint32_t wanted, const offer offers[KEY_COUNT]) {
  int any = 0;
  for (int key = SHARD; key <= PARTITIONER; key++) any |= is_there(&offers[key]);
  if (!any || !(wanted & CQL__FEATURE_SHARDS)) return;
  if (!read_shards(f, offers)) {
    f->refused++;
    return;
  }
  if (!(wanted & CQL__FEATURE_SHARD_PORT)) return;
  const offer *port = &offers[SHARD_PORT], *port_tls = &offers[SHARD_PORT_TLS];
  if (is_there(port)) f->refused += (uint32_t)!read_port(&f->shard_port, port);
  if (is_there(port_tls)) f->refused += (uint32_t)!read_port(&f->shard_port_tls, port_tls);
}

void cql__features_init(cql__features *features, int version) {
  *features = (cql__features){.shard_count = 1, .shard_told = -1, .metadata_id = version >= 5};
}

int cql__features_read(cql__features *f, int version, uint32_t wanted, cql__cursor body) {
  offer offers[KEY_COUNT];
  cql__features_init(f, version);
  if (find_offers(body, offers)) return CQL_EMALFORMED;
  for (int i = 0; i < KEY_COUNT; i++)
    if (is_there(&offers[i])) f->is_scylla = 1;
  if (is_there(&offers[HOST_ID])) f->refused += (uint32_t)!read_host_id(f, &offers[HOST_ID]);
  read_sharding(f, wanted, offers);
  if (is_there(&offers[LWT_MARK]) && wanted & CQL__FEATURE_LWT_MARK)
    f->refused += (uint32_t)!read_lwt_mark(f, &offers[LWT_MARK]);
  if (is_there(&offers[RATE_LIMIT]) && wanted & CQL__FEATURE_RATE_LIMIT)
    f->refused += (uint32_t)!read_rate_limit(f, &offers[RATE_LIMIT]);
  /* v3 has no payloads to bring tablets in */
  f->tablets = is_there(&offers[TABLETS]) && version >= 4 && wanted & CQL__FEATURE_TABLETS;
  f->offers_tablets_v2 = is_there(&offers[TABLETS_V2]) || is_there(&offers[TABLETS_V2_STABLE]);
  if (is_there(&offers[METADATA_ID]) && version == 4 && wanted & CQL__FEATURE_METADATA_ID)
    f->metadata_id = 1;
  return 0;
}

unsigned cql__features_startup(const cql__features *f, int version, cql__pair *out,
                               char room[CQL__FEATURE_TEXT]) {
  unsigned n = 0;
  if (f->lwt_mask) { /* as it was offered */
    snprintf(room, CQL__FEATURE_TEXT, "%s%u", LWT_PREFIX, (unsigned)f->lwt_mask);
    out[n++] = (cql__pair){keys[LWT_MARK], room};
  }
  if (f->rate_limit_code) out[n++] = (cql__pair){keys[RATE_LIMIT], ""};
  if (f->tablets) out[n++] = (cql__pair){keys[TABLETS], ""};
  if (f->metadata_id && version == 4) out[n++] = (cql__pair){keys[METADATA_ID], ""};
  return n;
}
