/* CREATE, ALTER and DROP KEYSPACE. */
#include "sim/define.h"

static const cql_slice_t none = {NULL, CQL_NULL};

static int is_true(const cql__sim_term *term) { return cql__slice_is(term->text, "true"); }

typedef struct replication {
  cql_slice_t strategy;
  uint32_t count;
  cql_slice_t *options, *values;
  int32_t *factors;
} replication;

static cql_slice_t without_package(cql_slice_t name) {
  static const char package[] = "org.apache.cassandra.locator.";
  const int32_t size = (int32_t)sizeof package - 1;
  if (name.length > size && memcmp(name.data, package, sizeof package - 1) == 0)
    return (cql_slice_t){name.data + size, name.length - size};
  return name;
}

static void add_option(cql__sim_definer *d, replication *r, cql_slice_t name, cql_slice_t value) {
  uint32_t at = r->count++;
  for (; at > 0 && cql__sim_name_order(name, r->options[at - 1]) < 0; at--) {
    r->options[at] = r->options[at - 1];
    r->values[at] = r->values[at - 1];
    r->factors[at] = r->factors[at - 1];
  }
  r->options[at] = cql__sim_keep(&d->schema->region, name);
  r->values[at] = cql__sim_keep(&d->schema->region, value);
  r->factors[at] = cql__sim_define_number(value);
}

static int check_strategy(cql__sim_definer *d, const replication *r) {
  static const char *const known[] = {"SimpleStrategy", "NetworkTopologyStrategy", "LocalStrategy",
                                      "EverywhereStrategy"};
  cql__sim_result *out = d->out;
  if (r->strategy.length < 0)
    return cql__store_fail(out, CQL__SIM_CONFIG_ERROR, "Missing replication strategy class");
  size_t i = 0, count = sizeof known / sizeof *known;
  while (i < count && !cql__slice_is(r->strategy, known[i])) i++;
  if (i == count)
    return cql__store_fail(out, CQL__SIM_CONFIG_ERROR,
                           "Unable to find replication strategy class "
                           "'org.apache.cassandra.locator.%.*s'",
                           CQL__SIM_SHOW(r->strategy));
  if (i == 0 && (r->count != 1 || !cql__slice_is(r->options[0], "replication_factor")))
    return cql__store_fail(out, CQL__SIM_CONFIG_ERROR,
                           "SimpleStrategy requires a replication_factor strategy option.");
  for (i = 0; i < r->count; i++) {
    cql_slice_t value = r->values[i];
    if (value.length < 1 || value.data[0] < '0' || value.data[0] > '9')
      return cql__store_fail(out, CQL__SIM_CONFIG_ERROR, "Replication factor must be numeric: %.*s",
                             CQL__SIM_SHOW(value));
  }
  return 0;
}

/* {'class': ..., option: value ...}: keys and values are strings or numbers. */
static int read_replication(cql__sim_definer *d, const cql__sim_term *map, replication *r) {
  uint32_t count = 0;
  if (map->kind != CQL__SIM_TERM_MAP)
    return cql__store_fail(d->out, CQL__SIM_SYNTAX_ERROR,
                           "Invalid value for property 'replication'. It should be a map.");
  for (const cql__sim_term *item = map->items; item; item = item->next) count++;
  *r = (replication){none, 0, cql__sim_region_take(&d->schema->region, count * sizeof *r->options),
                     cql__sim_region_take(&d->schema->region, count * sizeof *r->values),
                     cql__sim_region_take(&d->schema->region, count * sizeof *r->factors)};
  for (const cql__sim_term *item = map->items; item; item = item->next->next) {
    const cql__sim_term *value = item->next;
    if (item->text.length < 0 || value->text.length < 0)
      return cql__store_fail(d->out, CQL__SIM_SYNTAX_ERROR,
                             "Invalid value for property 'replication'. It should be a map.");
    if (cql__slice_is(item->text, "class"))
      r->strategy = cql__sim_keep(&d->schema->region, without_package(value->text));
    else
      add_option(d, r, item->text, value->text);
  }
  return check_strategy(d, r);
}

/* {'enabled': true, 'initial': 8} */
static int32_t read_tablets(const cql__sim_term *map) {
  int32_t initial = 0;
  int enabled = 1;
  if (map->kind != CQL__SIM_TERM_MAP) return 0;
  for (const cql__sim_term *item = map->items; item; item = item->next->next) {
    if (cql__slice_is(item->text, "enabled")) enabled = is_true(item->next);
    if (cql__slice_is(item->text, "initial")) initial = cql__sim_define_number(item->next->text);
  }
  return enabled ? (initial > 0 ? initial : 8) : 0;
}

static int alter_options(cql__sim_definer *d, cql__sim_keyspace *keyspace) {
  for (const cql__sim_option *option = d->query->options; option; option = option->next) {
    replication r = {0};
    if (cql__slice_is(option->name, "replication")) {
      if (read_replication(d, option->value, &r)) return CQL_EVALUE;
      keyspace->strategy = r.strategy;
      keyspace->option_count = r.count;
      keyspace->options = r.options;
      keyspace->values = r.values;
      keyspace->factors = r.factors;
    } else if (cql__slice_is(option->name, "durable_writes")) {
      keyspace->durable_writes = is_true(option->value);
    } else if (cql__slice_is(option->name, "tablets") && d->store->scylla) {
      keyspace->tablets = read_tablets(option->value);
    } else {
      return cql__store_fail(d->out, CQL__SIM_SYNTAX_ERROR, "Unknown property '%.*s'",
                             CQL__SIM_SHOW(option->name));
    }
  }
  return 0;
}

void cql__sim_create_keyspace(cql__sim_definer *d) {
  if (d->keyspace) {
    cql__sim_define_exists(d, none);
    return;
  }
  cql__sim_keyspace *keyspace = cql__sim_keyspace_new(d->schema, d->keyspace_name);
  int error = alter_options(d, keyspace);
  if (!error && !keyspace->strategy.length)
    error = cql__store_fail(d->out, CQL__SIM_CONFIG_ERROR,
                            "Missing mandatory replication strategy class");
  if (error)
    cql__sim_keyspace_free(keyspace);
  else
    cql__sim_define_changed(d, "CREATED", "KEYSPACE", none);
}

void cql__sim_alter_keyspace(cql__sim_definer *d) {
  if (alter_options(d, d->keyspace) == 0) cql__sim_define_changed(d, "UPDATED", "KEYSPACE", none);
}

void cql__sim_drop_keyspace(cql__sim_definer *d) {
  cql__sim_define_changed(d, "DROPPED", "KEYSPACE", none);
  cql__sim_keyspace_free(d->keyspace);
}
