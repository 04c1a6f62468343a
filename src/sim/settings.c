#include "sim/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cql.h"

enum { NUMBER, CHOICE, FLAGS, TEXT, SPREAD };

typedef struct choice {
  const char *name;
  int64_t value;
} choice;

static const choice products[] = {
    {"cassandra", CQL__SIM_CASSANDRA}, {"scylla", CQL__SIM_SCYLLA}, {NULL, 0}};
static const choice switches[] = {{"true", 1}, {"false", 0}, {"1", 1}, {"0", 0}, {NULL, 0}};
static const choice accepts[] = {
    {"yes", CQL__SIM_ACCEPT}, {"refuse", CQL__SIM_REFUSE}, {"drop", CQL__SIM_DROP}, {NULL, 0}};
static const choice auths[] = {{"none", CQL__SIM_OPEN}, {"password", CQL__SIM_PASSWORD}, {NULL, 0}};
static const choice extensions[] = {{"shards", CQL__SIM_SHARDS},
                                    {"lwt", CQL__SIM_LWT_MARK},
                                    {"rate_limit", CQL__SIM_RATE_LIMIT},
                                    {"tablets", CQL__SIM_TABLETS},
                                    {"metadata_id", CQL__SIM_METADATA_ID},
                                    {"all", CQL__SIM_EXTENSIONS},
                                    {NULL, 0}};

typedef struct setting {
  const char *name;
  int kind;
  int of_world;
  size_t offset;
  const char *standard;
  int64_t min, max; /* TEXT: its room */
  const choice *choices;
} setting;

#define AT(field) offsetof(cql__sim_settings, field)
#define NUMBER_SETTING(field, standard, min, max)                                                  \
  { #field, NUMBER, 0, AT(field), standard, min, max, NULL }
#define CHOICE_SETTING(field, standard, choices)                                                   \
  { #field, CHOICE, 0, AT(field), standard, 0, 0, choices }
#define SPREAD_SETTING(field, of_world, standard)                                                  \
  { #field, SPREAD, of_world, AT(field), standard, 0, 0, NULL }

static const setting settings_table[] = {
    CHOICE_SETTING(product, "cassandra", products),
    {"version", TEXT, 0, AT(version), "", 0, 24, NULL},
    NUMBER_SETTING(protocol_max, "0", 0, 5),
    NUMBER_SETTING(protocol_min, "3", 3, 5),
    CHOICE_SETTING(lz4, "true", switches),
    NUMBER_SETTING(shards, "2", 1, 1024),
    NUMBER_SETTING(msb, "12", 0, 63),
    NUMBER_SETTING(shard_aware_port, "19042", 0, 65535),
    {"extensions", FLAGS, 0, AT(extensions), "all", 0, 0, extensions},
    NUMBER_SETTING(rate_limit_code, "61440", 1, INT32_MAX),
    NUMBER_SETTING(vnodes, "16", 1, 1024),
    NUMBER_SETTING(port, "9042", 1, 65535),
    NUMBER_SETTING(frame_max, "16777216", 1024, 268435456),
    NUMBER_SETTING(prepared_max, "10000", 1, 1000000),
    CHOICE_SETTING(accept, "yes", accepts),
    CHOICE_SETTING(shard_accept, "yes", accepts),
    CHOICE_SETTING(nat, "false", switches),
    CHOICE_SETTING(private, "false", switches),
    SPREAD_SETTING(service, 0, "0"),
    SPREAD_SETTING(latency, 0, "100us..300us"),
    SPREAD_SETTING(connect, 0, "0"),
    SPREAD_SETTING(boot, 0, "0"),
    NUMBER_SETTING(bandwidth, "0", 0, 1000000000000),
    NUMBER_SETTING(window, "262144", 1, 1073741824),
    NUMBER_SETTING(split, "0", 0, 1073741824),
    {"cluster_name", TEXT, 1, AT(cluster_name), "Simulated", 0, 64, NULL},
    {"partitioner", TEXT, 1, AT(partitioner), "org.apache.cassandra.dht.Murmur3Partitioner", 0, 64,
     NULL},
    {"busy_ports_min", NUMBER, 1, AT(busy_ports_min), "0", 0, 65535, NULL},
    {"busy_ports_max", NUMBER, 1, AT(busy_ports_max), "0", 0, 65535, NULL},
    {"auth", CHOICE, 1, AT(auth), "none", 0, 0, auths},
    SPREAD_SETTING(agreement, 1, "0"),
    SPREAD_SETTING(gossip, 1, "200ms..1s"),
    SPREAD_SETTING(detection, 1, "8s..12s"),
    SPREAD_SETTING(resolve, 1, "1ms..5ms"),
    SPREAD_SETTING(read_timeout, 1, "5s"),
    SPREAD_SETTING(write_timeout, 1, "2s"),
    SPREAD_SETTING(truncate_timeout, 1, "60s"),
};

enum { SETTING_COUNT = sizeof settings_table / sizeof *settings_table };

const char *cql__sim_settings_name(uint32_t index) {
  return index < SETTING_COUNT ? settings_table[index].name : NULL;
}

static int bad_value(const setting *s, const char *value, const char *wanted, char why[512]) {
  snprintf(why, 512, "%s can't be \"%.80s\"; it takes %s", s->name, value, wanted);
  return CQL_EOPTION;
}

static int set_number(const setting *s, int64_t *out, const char *value, char why[512]) {
  char *end, wanted[80];
  long long number = strtoll(value, &end, 10);
  if (end == value || *end || number < s->min || number > s->max) {
    snprintf(wanted, sizeof wanted, "a whole number from %lld to %lld", (long long)s->min,
             (long long)s->max);
    return bad_value(s, value, wanted, why);
  }
  *out = number;
  return 0;
}

static const choice *find_choice(const setting *s, const char *name, size_t length) {
  for (const choice *c = s->choices; c->name; c++)
    if (strlen(c->name) == length && strncasecmp(c->name, name, length) == 0) return c;
  return NULL;
}

static int set_choice(const setting *s, int64_t *out, const char *value, char why[512]) {
  char wanted[200] = "one of";
  const choice *found = find_choice(s, value, strlen(value));
  if (found) {
    *out = found->value;
    return 0;
  }
  for (const choice *c = s->choices; c->name; c++) {
    size_t used = strlen(wanted);
    snprintf(wanted + used, sizeof wanted - used, " %s", c->name);
  }
  return bad_value(s, value, wanted, why);
}

/* Names with commas or blanks between them; "" is none. */
static int set_flags(const setting *s, int64_t *out, const char *value, char why[512]) {
  int64_t flags = 0;
  for (const char *at = value + strspn(value, ", "); *at;) {
    size_t length = strcspn(at, ", ");
    const choice *found = find_choice(s, at, length);
    if (!found) return bad_value(s, value, "names with commas between them", why);
    flags |= found->value;
    at += length + strspn(at + length, ", ");
  }
  *out = flags;
  return 0;
}

static int set(const setting *s, cql__sim_settings *settings, const char *value, char why[512]) {
  void *at = (char *)settings + s->offset;
  switch (s->kind) {
    case NUMBER: return set_number(s, at, value, why);
    case CHOICE: return set_choice(s, at, value, why);
    case FLAGS: return set_flags(s, at, value, why);
    case TEXT:
      if (strlen(value) >= (size_t)s->max) return bad_value(s, value, "a shorter text", why);
      memcpy(at, value, strlen(value) + 1);
      return 0;
    default:
      if (cql__sim_spread_parse(value, at))
        return bad_value(s, value, "a time such as 2ms, 1ms..5ms or exp 2ms, with tails", why);
      return 0;
  }
}

int cql__sim_settings_set(cql__sim_settings *settings, const char *name, const char *value,
                          int *of_world, char why[512]) {
  for (unsigned i = 0; i < SETTING_COUNT; i++) {
    if (strcmp(settings_table[i].name, name) != 0) continue;
    *of_world = settings_table[i].of_world;
    return set(&settings_table[i], settings, value, why);
  }
  snprintf(why, 512, "unknown setting \"%.80s\"", name);
  return CQL_EOPTION;
}

void cql__sim_settings_init(cql__sim_settings *settings) {
  char why[512];
  memset(settings, 0, sizeof *settings);
  for (unsigned i = 0; i < SETTING_COUNT; i++)
    set(&settings_table[i], settings, settings_table[i].standard, why);
}
