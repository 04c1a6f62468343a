#include <stdio.h>

#include "sim/dispatch.h"
#include "sim/world.h"
#include "wire/proto.h"

#define LWT_MASK "LWT_OPTIMIZATION_META_BIT_MASK=2147483648"

/* ---- versions ---- */

/* The form in which each server says no: with its own version, leaving the connection open. */
int cql__sim_refuse_version(cql__sim_client *client, const uint8_t *header) {
  cql__sim_node *node = client->node;
  int version = header[0] & 0x7F, max = cql__sim_protocol_max(node);
  int stream = (int16_t)cql__get_u16(header + 2);
  if (client->version || (version <= max && version >= node->settings.protocol_min)) return 0;
  char why[160];
  int beta = !cql__sim_is_scylla(node) && version == 5 && max == 4;
  if (cql__sim_is_scylla(node))
    snprintf(why, sizeof why, "Invalid or unsupported protocol version: %d", version);
  else if (beta)
    snprintf(why, sizeof why,
             "Beta version of the protocol used (5/v5-beta), but USE_BETA flag is unset");
  else
    snprintf(why, sizeof why,
             "Invalid or unsupported protocol version (%d); the lowest supported version is %lld "
             "and the greatest is %d",
             version, (long long)node->settings.protocol_min, max);
  cql__sim_buffer body = {0};
  cql__sim_put_u32(&body, CQL__ERROR_PROTOCOL);
  cql__sim_put_string(&body, why);
  node->counters.requests++;
  node->counters.answers++;
  node->counters.errors++;
  cql__sim_trace_line(node->sim, "%s.c%d refuses version %d", node->text, client->id, version);
  cql__sim_client_envelope(client, beta ? 5 : max, 0, stream, CQL__ERROR, cql__sim_slice(&body));
  cql__sim_buffer_free(&body);
  return 1;
}

/* ---- OPTIONS ---- */

typedef struct multimap {
  cql__sim_buffer entries;
  uint32_t count;
} multimap;

static void put_entry(multimap *m, const char *name, const char *value) {
  cql__sim_put_string(&m->entries, name);
  cql__sim_put_u16(&m->entries, 1);
  cql__sim_put_string(&m->entries, value);
  m->count++;
}

static void put_number(multimap *m, const char *name, int64_t number) {
  char text[24];
  snprintf(text, sizeof text, "%lld", (long long)number);
  put_entry(m, name, text);
}

static void put_list(multimap *m, const char *name, const char *const *values, unsigned count) {
  cql__sim_put_string(&m->entries, name);
  cql__sim_put_u16(&m->entries, count);
  for (unsigned i = 0; i < count; i++) cql__sim_put_string(&m->entries, values[i]);
  m->count++;
}

static void put_scylla(multimap *m, const cql__sim_client *client) {
  const cql__sim_settings *s = &client->node->settings;
  put_entry(m, "CLIENT_OPTIONS", "");
  put_entry(m, "SCYLLA_HOST_ID", client->node->host_text);
  if (s->extensions & CQL__SIM_SHARDS) {
    put_number(m, "SCYLLA_SHARD", client->shard);
    put_number(m, "SCYLLA_NR_SHARDS", cql__sim_shard_count(client->node));
    put_entry(m, "SCYLLA_SHARDING_ALGORITHM", "biased-token-round-robin");
    put_number(m, "SCYLLA_SHARDING_IGNORE_MSB", s->msb);
    put_entry(m, "SCYLLA_PARTITIONER", client->node->sim->settings.partitioner);
    if (s->shard_aware_port) put_number(m, "SCYLLA_SHARD_AWARE_PORT", s->shard_aware_port);
  }
  if (s->extensions & CQL__SIM_LWT_MARK) put_entry(m, "SCYLLA_LWT_ADD_METADATA_MARK", LWT_MASK);
  if (s->extensions & CQL__SIM_RATE_LIMIT) {
    char code[32];
    snprintf(code, sizeof code, "ERROR_CODE=%lld", (long long)s->rate_limit_code);
    put_entry(m, "SCYLLA_RATE_LIMIT_ERROR", code);
  }
  if (s->extensions & CQL__SIM_TABLETS) put_entry(m, "TABLETS_ROUTING_V1", "");
  if (s->extensions & CQL__SIM_METADATA_ID) put_entry(m, "SCYLLA_USE_METADATA_ID", "");
}

static void answer_options(const cql__sim_client *client, cql__sim_answer *answer) {
  static const char *const codecs[] = {"lz4", "snappy"}, *const others[] = {"snappy", "lz4"};
  static const char *const versions[] = {"3/v3", "4/v4", "5/v5", "6/v6-beta"};
  const cql__sim_node *node = client->node;
  multimap m = {{0}, 0};
  int scylla = cql__sim_is_scylla(node);
  put_entry(&m, "CQL_VERSION", scylla ? "3.3.1" : "3.4.7");
  put_list(&m, "COMPRESSION", scylla ? codecs : others, node->settings.lz4 ? 2 : 0);
  if (scylla) {
    put_scylla(&m, client);
  } else {
    int min = (int)node->settings.protocol_min, max = cql__sim_protocol_max(node);
    put_list(&m, "PROTOCOL_VERSIONS", versions + (min - 3), (unsigned)(max - min + 1 + (max == 5)));
  }
  answer->opcode = CQL__SUPPORTED;
  cql__sim_put_u16(&answer->body, m.count);
  cql__sim_put(&answer->body, cql__sim_bytes(&m.entries), cql__sim_size(&m.entries));
  cql__sim_buffer_free(&m.entries);
}

/* ---- STARTUP ---- */

static int extension_of(cql_slice_t name) {
  static const struct {
    const char *name;
    int extension;
  } known[] = {{"SCYLLA_LWT_ADD_METADATA_MARK", CQL__SIM_LWT_MARK},
               {"SCYLLA_RATE_LIMIT_ERROR", CQL__SIM_RATE_LIMIT},
               {"TABLETS_ROUTING_V1", CQL__SIM_TABLETS},
               {"SCYLLA_USE_METADATA_ID", CQL__SIM_METADATA_ID}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (cql__slice_is(name, known[i].name)) return known[i].extension;
  return 0;
}

static int is_lz4(cql_slice_t value) {
  return value.length == 3 && strncasecmp((const char *)value.data, "lz4", 3) == 0;
}

static void answer_startup(cql__sim_client *client, cql__sim_request *request,
                           cql__sim_answer *answer) {
  cql__cursor *c = &request->body;
  int has_version = 0, lz4 = 0, bad = 0;
  cql__sim_clear(&client->startup);
  for (uint16_t left = cql__read_u16(c); left && !c->broken; left--) {
    cql_slice_t name = cql__read_short_bytes(c), value = cql__read_short_bytes(c);
    if (c->broken) break;
    cql__sim_print(&client->startup, "%.*s=%.*s\n", (int)name.length, (const char *)name.data,
                   (int)value.length, (const char *)value.data);
    has_version |= cql__slice_is(name, "CQL_VERSION");
    if (cql__slice_is(name, "COMPRESSION")) {
      lz4 = is_lz4(value) && client->node->settings.lz4;
      bad |= !lz4;
    }
    if (cql__sim_is_scylla(client->node))
      client->extensions |= extension_of(name) & client->node->settings.extensions;
  }
  if (c->broken || !has_version || bad || client->version) {
    cql__sim_answer_fail(answer, CQL__ERROR_PROTOCOL,
                         bad               ? "Unknown compression algorithm"
                         : client->version ? "STARTUP has been sent before"
                                           : "CQL_VERSION is missing in STARTUP");
    return;
  }
  client->version = request->version;
  client->lz4 = lz4 && request->version < 5;
  answer->switches = 1;
  answer->opcode = CQL__READY;
  if (client->node->sim->settings.auth == CQL__SIM_PASSWORD) {
    client->state = CQL__SIM_AUTHENTICATING;
    answer->opcode = CQL__AUTHENTICATE;
    cql__sim_put_string(&answer->body, "org.apache.cassandra.auth.PasswordAuthenticator");
  } else {
    client->state = CQL__SIM_READY;
  }
  client->compresses = lz4;
}

/* ---- AUTH_RESPONSE ---- */

/* [authorization id] 0 username 0 password */
static int is_let_in(const cql_sim_t *sim, cql_slice_t token) {
  if (token.length < 2) return 0;
  const uint8_t *end = token.data + token.length;
  const uint8_t *first = memchr(token.data, 0, (size_t)token.length);
  const uint8_t *second = first ? memchr(first + 1, 0, (size_t)(end - first - 1)) : NULL;
  if (!second) return 0;
  char *name = cql__sim_text(first + 1, (size_t)(second - first - 1));
  const cql__sim_named *user = cql__sim_named_find(sim->users, sim->user_count, name);
  cql__sim_release(name);
  cql_slice_t password = {second + 1, (int32_t)(end - second - 1)};
  return user && cql__slice_is(password, user->value);
}

static void answer_token(cql__sim_client *client, cql__sim_request *request,
                         cql__sim_answer *answer) {
  cql_slice_t token = cql__read_bytes(&request->body);
  if (client->state != CQL__SIM_AUTHENTICATING || request->body.broken) {
    request->verdict |= CQL_SIM_NOT_READY;
    cql__sim_answer_fail(answer, CQL__ERROR_PROTOCOL, "Unexpected AUTH_RESPONSE");
    return;
  }
  if (!is_let_in(client->node->sim, token)) {
    cql__sim_answer_fail(answer, CQL__ERROR_CREDENTIALS,
                         "Provided username and/or password are incorrect");
    return;
  }
  client->state = CQL__SIM_READY;
  answer->opcode = CQL__AUTH_SUCCESS;
  cql__sim_put_u32(&answer->body, (uint32_t)-1);
}

/* ---- REGISTER ---- */

static void answer_register(cql__sim_client *client, cql__sim_request *request,
                            cql__sim_answer *answer) {
  static const char *const types[] = {"TOPOLOGY_CHANGE", "STATUS_CHANGE", "SCHEMA_CHANGE",
                                      "CLIENT_ROUTES_CHANGE"};
  cql__cursor *c = &request->body;
  int registered = 0;
  if (client->state != CQL__SIM_READY) {
    request->verdict |= CQL_SIM_NOT_READY;
    cql__sim_answer_fail(answer, CQL__ERROR_PROTOCOL, "Unexpected REGISTER");
    return;
  }
  for (uint16_t left = cql__read_u16(c); left && !c->broken; left--) {
    cql_slice_t type = cql__read_short_bytes(c);
    int found = -1;
    for (int i = 0; i < (cql__sim_is_scylla(client->node) ? 4 : 3); i++)
      if (cql__slice_is(type, types[i])) found = i;
    if (found < 0) c->broken = 1;
    registered |= found < 0 ? 0 : 1 << found;
  }
  if (c->broken) {
    cql__sim_answer_fail(answer, CQL__ERROR_PROTOCOL, "Unknown event type in REGISTER");
    return;
  }
  client->registered |= registered;
  answer->opcode = CQL__READY;
}

void cql__sim_handshake(cql__sim_client *client, cql__sim_request *request,
                        cql__sim_answer *answer) {
  switch (request->opcode) {
    case CQL__OPTIONS: answer_options(client, answer); break;
    case CQL__STARTUP: answer_startup(client, request, answer); break;
    case CQL__AUTH_RESPONSE: answer_token(client, request, answer); break;
    default: answer_register(client, request, answer); break;
  }
}
