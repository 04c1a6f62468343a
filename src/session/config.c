#include "session/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { TEXT, SECRET, NUMBER, SWITCH, CHOICE };

typedef struct choice {
  const char *name;
  int value;
} choice;

static const choice consistencies[] = {{"any", CQL_ANY},
                                       {"one", CQL_ONE},
                                       {"two", CQL_TWO},
                                       {"three", CQL_THREE},
                                       {"quorum", CQL_QUORUM},
                                       {"all", CQL_ALL},
                                       {"local_quorum", CQL_LOCAL_QUORUM},
                                       {"each_quorum", CQL_EACH_QUORUM},
                                       {"serial", CQL_SERIAL},
                                       {"local_serial", CQL_LOCAL_SERIAL},
                                       {"local_one", CQL_LOCAL_ONE},
                                       {NULL, 0}};
static const choice serials[] = {
    {"serial", CQL_SERIAL}, {"local_serial", CQL_LOCAL_SERIAL}, {NULL, 0}};
static const choice compressions[] = {{"none", 0}, {"lz4", 1}, {NULL, 0}};
static const choice verifications[] = {{"full", CQL__VERIFY_FULL},
                                       {"chain", CQL__VERIFY_CHAIN},
                                       {"none", CQL__VERIFY_NONE},
                                       {NULL, 0}};
static const choice versions[] = {{"0", 0}, {"3", 3}, {"4", 4}, {"5", 5}, {NULL, 0}};
static const choice tls_versions[] = {{"1.2", 12}, {"1.3", 13}, {NULL, 0}};

typedef struct option {
  const char *name;
  int kind;
  size_t offset;
  int64_t standard, min, max;
  const choice *choices;
} option;

#define AT(field) offsetof(cql_config_t, field)
#define TEXT_OPTION(field)                                                                         \
  { #field, TEXT, AT(field), 0, 0, 0, NULL }
#define SECRET_OPTION(field)                                                                       \
  { #field, SECRET, AT(field), 0, 0, 0, NULL }
#define NUMBER_OPTION(field, standard, min, max)                                                   \
  { #field, NUMBER, AT(field), standard, min, max, NULL }
#define SWITCH_OPTION(field, standard)                                                             \
  { #field, SWITCH, AT(field), standard, 0, 1, NULL }
#define CHOICE_OPTION(field, standard, list)                                                       \
  { #field, CHOICE, AT(field), standard, 0, 0, list }
/* One for all nodes, and one for remote ones. */
#define DISTANCE_OPTION(field, standard, min, max)                                                 \
  NUMBER_OPTION(field, standard, min, max), {                                                      \
    "remote_" #field, NUMBER, AT(remote_##field), CQL__AS_OTHERS, min, max, NULL                   \
  }
#define HOUR_MS 3600000

static const option options[] = {
    TEXT_OPTION(contact_points),
    NUMBER_OPTION(port, 9042, 1, 65535),
    TEXT_OPTION(keyspace),
    TEXT_OPTION(username),
    SECRET_OPTION(password),
    CHOICE_OPTION(protocol_version, 0, versions),
    NUMBER_OPTION(protocol_version_min, 3, 3, 5),
    CHOICE_OPTION(compression, 0, compressions),
    NUMBER_OPTION(compression_min, 512, 0, 131071),
    CHOICE_OPTION(consistency, CQL_LOCAL_QUORUM, consistencies),
    CHOICE_OPTION(serial_consistency, CQL_LOCAL_SERIAL, serials),
    NUMBER_OPTION(page_size, 5000, -1, INT32_MAX),
    NUMBER_OPTION(request_timeout_ms, 10000, 1, 24 * HOUR_MS),
    DISTANCE_OPTION(connect_timeout_ms, 5000, 1, HOUR_MS),
    NUMBER_OPTION(resolve_timeout_ms, 5000, 1, HOUR_MS),
    NUMBER_OPTION(question_timeout_ms, 1000, 1, HOUR_MS),
    DISTANCE_OPTION(heartbeat_ms, 30000, 0, HOUR_MS),
    DISTANCE_OPTION(heartbeat_timeout_ms, 5000, 1, HOUR_MS),
    NUMBER_OPTION(reconnect_min_ms, 100, 1, HOUR_MS),
    NUMBER_OPTION(reconnect_max_ms, 30000, 1, 24 * HOUR_MS),
    SWITCH_OPTION(connect_retry, 1),
    TEXT_OPTION(local_datacenter),
    TEXT_OPTION(local_rack),
    SWITCH_OPTION(datacenter_failover, 0),
    SWITCH_OPTION(failover_local_consistency, 0),
    SWITCH_OPTION(discover, 1),
    DISTANCE_OPTION(connections_per_shard, 1, 1, 256),
    DISTANCE_OPTION(connections_per_node, 0, 0, 256),
    NUMBER_OPTION(requests_max, 65536, 1, 16777216),
    NUMBER_OPTION(streams_max, 32767, 1, 32767),
    NUMBER_OPTION(frame_size_max, 268435456, 4096, 268435456),
    SWITCH_OPTION(server_timestamps, 0),
    SWITCH_OPTION(throw_on_overload, 0),
    SWITCH_OPTION(prepare_on_all, 1),
    NUMBER_OPTION(schema_agreement_ms, 10000, 0, HOUR_MS),
    NUMBER_OPTION(schema_agreement_interval_ms, 200, 1, HOUR_MS),
    SWITCH_OPTION(shard_aware, 1),
    SWITCH_OPTION(shard_aware_port, 1),
    NUMBER_OPTION(source_port_min, 49152, 1024, 65535),
    NUMBER_OPTION(source_port_max, 65535, 1024, 65535),
    SWITCH_OPTION(tablets, 1),
    SWITCH_OPTION(lwt_mark, 1),
    SWITCH_OPTION(metadata_id, 1),
    SWITCH_OPTION(rate_limit_error, 1),
    TEXT_OPTION(client_routes),
    SWITCH_OPTION(ask_authenticate, 0),
    SWITCH_OPTION(ask_distance, 0),
    SWITCH_OPTION(ask_endpoint, 0),
    TEXT_OPTION(application_name),
    TEXT_OPTION(application_version),
    TEXT_OPTION(client_id),
    SWITCH_OPTION(tls, 0),
    CHOICE_OPTION(tls_verify, CQL__VERIFY_FULL, verifications),
    CHOICE_OPTION(tls_min_version, 12, tls_versions),
    TEXT_OPTION(tls_ca),
    TEXT_OPTION(tls_cert),
    TEXT_OPTION(tls_key),
    SECRET_OPTION(tls_key_password),
    TEXT_OPTION(tls_name),
    TEXT_OPTION(tls_sni),
    SWITCH_OPTION(tcp_nodelay, 1),
    SWITCH_OPTION(tcp_keepalive, 1),
    DISTANCE_OPTION(send_buffer, 0, 0, 1 << 30),
    DISTANCE_OPTION(receive_buffer, 0, 0, 1 << 30),
    TEXT_OPTION(local_address),
};

enum { OPTION_COUNT = sizeof options / sizeof *options };

static char **text_at(cql_config_t *config, const option *o) {
  return (char **)(void *)((char *)config + o->offset);
}

static int64_t *number_at(cql_config_t *config, const option *o) {
  return (int64_t *)(void *)((char *)config + o->offset);
}

const char *cql__config_option(uint32_t index) {
  return index < OPTION_COUNT ? options[index].name : NULL;
}

cql_config_t *cql__config_new(void) {
  cql_config_t *config = cql__zalloc(sizeof *config);
  if (!config) return NULL;
  for (unsigned i = 0; i < OPTION_COUNT; i++)
    if (options[i].kind != TEXT && options[i].kind != SECRET)
      *number_at(config, &options[i]) = options[i].standard;
  return config;
}

static void drop_text(char *text) {
  if (text) cql__wipe(text, strlen(text));
  cql__free(text);
}

void cql__config_free(cql_config_t *config) {
  if (!config) return;
  for (unsigned i = 0; i < OPTION_COUNT; i++)
    if (options[i].kind == TEXT || options[i].kind == SECRET)
      drop_text(*text_at(config, &options[i]));
  cql__free(config);
}

cql_config_t *cql__config_copy(const cql_config_t *config) {
  cql_config_t *copy = cql__malloc(sizeof *copy);
  if (!copy) return NULL;
  *copy = *config;
  int complete = 1;
  for (unsigned i = 0; i < OPTION_COUNT; i++) {
    if (options[i].kind != TEXT && options[i].kind != SECRET) continue;
    char **text = text_at(copy, &options[i]);
    if (!*text) continue;
    *text = cql__text_copy(*text, strlen(*text));
    if (!*text) complete = 0;
  }
  if (complete) return copy;
  cql__config_free(copy);
  return NULL;
}

/* ---- setting ---- */

enum { NAME_SIZE = 64 }; /* more than any option's */

/* How many letters must change, come or go: for "did you mean". */
static unsigned distance(const char *a, const char *b) {
  unsigned row[NAME_SIZE];
  size_t length = strlen(b);
  if (length >= NAME_SIZE) return NAME_SIZE;
  for (unsigned i = 0; i <= length; i++) row[i] = i;
  for (unsigned i = 1; *a; a++, i++) {
    unsigned diagonal = row[0];
    row[0] = i;
    for (size_t k = 1; k <= length; k++) {
      unsigned change = diagonal + (*a != b[k - 1]);
      diagonal = row[k];
      unsigned come = row[k - 1] + 1, go = row[k] + 1;
      row[k] = change < come ? change : come;
      if (go < row[k]) row[k] = go;
    }
  }
  return row[length];
}

/* Is it what is left of `name` when letters are left out? */
static int is_short_for(const char *shorter, const char *name) {
  for (; *shorter && *name; name++) shorter += *shorter == *name;
  return !*shorter;
}

/* The shortest that it is short for, else the one with the fewest other letters. */
static int unknown_option(cql_config_t *config, const char *name) {
  const char *nearest = NULL;
  unsigned best = UINT32_MAX;
  for (unsigned i = 0; i < OPTION_COUNT; i++) {
    const char *known = options[i].name;
    unsigned d =
        is_short_for(name, known) ? (unsigned)strlen(known) : NAME_SIZE + distance(name, known);
    if (d < best) {
      best = d;
      nearest = known;
    }
  }
  snprintf(config->error, sizeof config->error, "unknown option \"%.60s\"; did you mean \"%s\"?",
           name, nearest);
  return CQL_EOPTION;
}

static int bad_value(cql_config_t *config, const option *o, const char *value, const char *wanted) {
  snprintf(config->error, sizeof config->error, "%s can't be \"%.40s\"; it takes %s", o->name,
           o->kind == SECRET ? "(hidden)" : value, wanted);
  return CQL_EOPTION;
}

static int set_number(cql_config_t *config, const option *o, const char *value) {
  char *end, wanted[80];
  errno = 0;
  long long number = strtoll(value, &end, 10);
  if (errno || end == value || *end || number < o->min || number > o->max) {
    snprintf(wanted, sizeof wanted, "a whole number from %lld to %lld", (long long)o->min,
             (long long)o->max);
    return bad_value(config, o, value, wanted);
  }
  *number_at(config, o) = number;
  return 0;
}

static int set_switch(cql_config_t *config, const option *o, const char *value) {
  int yes = !strcmp(value, "true") || !strcmp(value, "1");
  if (!yes && strcmp(value, "false") && strcmp(value, "0"))
    return bad_value(config, o, value, "true or false");
  *number_at(config, o) = yes;
  return 0;
}

static int set_choice(cql_config_t *config, const option *o, const char *value) {
  char wanted[160] = "one of";
  for (const choice *c = o->choices; c->name; c++) {
    if (!strcasecmp(value, c->name)) {
      *number_at(config, o) = c->value;
      return 0;
    }
    size_t used = strlen(wanted);
    snprintf(wanted + used, sizeof wanted - used, " %s", c->name);
  }
  return bad_value(config, o, value, wanted);
}

static int set_text(cql_config_t *config, const option *o, const char *value) {
  char *copy = cql__text_copy(value, strlen(value));
  if (!copy) return CQL_ENOMEM;
  drop_text(*text_at(config, o));
  *text_at(config, o) = copy;
  return 0;
}

int cql__config_set(cql_config_t *config, const char *name, const char *value) {
  config->error[0] = 0;
  for (unsigned i = 0; i < OPTION_COUNT; i++) {
    const option *o = &options[i];
    if (strcmp(o->name, name)) continue;
    switch (o->kind) {
      case NUMBER: return set_number(config, o, value);
      case SWITCH: return set_switch(config, o, value);
      case CHOICE: return set_choice(config, o, value);
      default: return set_text(config, o, value);
    }
  }
  return unknown_option(config, name);
}
