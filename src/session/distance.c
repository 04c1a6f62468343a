/* Distance: how near a node is, by the configuration or by whoever is asked. */
#include <stdio.h>
#include <string.h>

#include "session/session.h"

/* After there was no memory. */
enum { DECIDE_AGAIN_MS = 1000 };

static const char *const names[] = {"rack", "local", "remote", "ignored"};

const char *cql__distance_name(uint8_t distance) { return names[distance]; }

int cql__distance_of(cql_slice_t name) {
  for (int i = 0; i <= CQL_DISTANCE_IGNORED; i++)
    if (cql__slice_is(name, names[i])) return i;
  return -1;
}

static int is_given(const char *option) { return option && *option; }

/* Of one datacenter and another where none is told: told of once, for it is seldom meant. */
static void warn_of_several(cql_session_t *session, const cql_node_t *node) {
  const cql__name *first = session->engine.cluster.nodes[0]->data.datacenter;
  if (session->several_told || !first || !node->data.datacenter || first == node->data.datacenter)
    return;
  session->several_told = 1;
  cql__session_tell(session, CQL_EVENT_WARNING, 0, node->text,
                    "there are several datacenters and all count as local; set local_datacenter");
}

static uint8_t by_default(cql_session_t *session, const cql_node_t *node) {
  const cql_config_t *config = session->config;
  const cql__node_data *data = &node->data;
  const char *datacenter = config->local_datacenter, *rack = config->local_rack;
  if (!is_given(datacenter)) {
    warn_of_several(session, node);
    return CQL_DISTANCE_LOCAL;
  }
  if (!data->datacenter) return CQL_DISTANCE_LOCAL; /* nobody has told where it is */
  if (strcmp(data->datacenter->text, datacenter) != 0)
    return config->datacenter_failover ? CQL_DISTANCE_REMOTE : CQL_DISTANCE_IGNORED;
  if (rack && data->rack && strcmp(data->rack->text, rack) == 0) return CQL_DISTANCE_RACK;
  return CQL_DISTANCE_LOCAL;
}

static int belongs(const cql_session_t *session, const cql_node_t *node) {
  const cql__cluster *cluster = &session->engine.cluster;
  return node->at < cluster->node_count && cluster->nodes[node->at] == node;
}

static void warn_of_none(cql_session_t *session) {
  const cql__cluster *cluster = &session->engine.cluster;
  int all = cluster->node_count > 0;
  for (uint32_t i = 0; i < cluster->node_count && all; i++)
    all = !cluster->nodes[i]->undecided && cluster->nodes[i]->distance == CQL_DISTANCE_IGNORED;
  if (all && !session->none_told && !session->datacenter_told)
    cql__session_tell(session, CQL_EVENT_WARNING, 0, "",
                      "all nodes are ignored; is what is said of their distances right?");
  session->none_told = (uint8_t)all;
}

void cql__session_decide(cql_session_t *session, cql_node_t *node, cql_slice_t answer) {
  if (!belongs(session, node) || session->engine.closing) return;
  int named = cql__distance_of(answer);
  uint8_t distance = named < 0 ? by_default(session, node) : (uint8_t)named;
  int changes = !node->undecided && node->distance != distance;
  if (cql__node_set_distance(node, distance)) {
    cql__session_tell_node(session, CQL_EVENT_WARNING, node, "no memory for its connections");
    cql__timer_set(&session->engine.wheel, &session->deciding,
                   cql__link_now(session->engine.link) + DECIDE_AGAIN_MS);
    return;
  }
  if (!changes) return;
  cql__session_tell_node(session, CQL_EVENT_DISTANCE, node, names[distance]);
  if (distance == CQL_DISTANCE_IGNORED) warn_of_none(session);
  cql__control_reconsider(&session->control);
}

/* ---- do the options fit the cluster? ---- */

enum { NAMES_SHOWN = 5, NAME_SHOWN = 40 };

/* Its datacenter or, of one datacenter, its rack; NULL: it is elsewhere, or nobody has told. */
static const cql__name *place_of(const cql_node_t *node, const char *datacenter) {
  const cql__node_data *data = &node->data;
  if (!datacenter) return data->datacenter;
  return data->datacenter && !strcmp(data->datacenter->text, datacenter) ? data->rack : NULL;
}

/* 1: a node is there, or nobody has told where any is; else some places where nodes are. */
static int is_there(const cql__cluster *cluster, const char *datacenter, const char *wanted,
                    char *others, size_t size) {
  const cql__name *found[NAMES_SHOWN];
  size_t count = 0, used = 0;
  for (uint32_t i = 0; i < cluster->node_count; i++) {
    const cql__name *place = place_of(cluster->nodes[i], datacenter);
    if (!place) continue;
    if (!strcmp(place->text, wanted)) return 1;
    size_t k = 0;
    while (k < count && found[k] != place) k++;
    if (k < count || count == NAMES_SHOWN) continue;
    found[count++] = place;
    used += (size_t)snprintf(others + used, size - used, "%s\"%.*s\"", used ? ", " : "", NAME_SHOWN,
                             place->text);
  }
  return count == 0;
}

/* Told of once, until a node is there. */
static void warn_of_place(cql_session_t *session, const char *option, const char *datacenter,
                          const char *wanted, uint8_t *told) {
  char others[NAMES_SHOWN * (NAME_SHOWN + 4) + 1], text[sizeof others + 120];
  int fits = !is_given(wanted) ||
             is_there(&session->engine.cluster, datacenter, wanted, others, sizeof others);
  if (!fits && !*told) {
    snprintf(text, sizeof text, "no node is in %s \"%.*s\", but in %s; case counts", option,
             NAME_SHOWN, wanted, others);
    cql__session_tell(session, CQL_EVENT_WARNING, 0, "", text);
  }
  *told = !fits;
}

void cql__session_check_places(cql_session_t *session) {
  const cql_config_t *config = session->config;
  const char *datacenter = config->local_datacenter;
  warn_of_place(session, "local_datacenter", NULL, datacenter, &session->datacenter_told);
  if (is_given(datacenter) && !session->datacenter_told)
    warn_of_place(session, "local_rack", datacenter, config->local_rack, &session->rack_told);
  warn_of_none(session);
}

/* ---- asking ---- */

void cql__session_ask_distance(cql_session_t *session, cql_node_t *node) {
  if (cql__question_distance(session, node) <= 0)
    cql__session_decide(session, node, (cql_slice_t){NULL, CQL_NULL});
}

void cql__session_refresh_distances(cql_session_t *session) {
  cql__cluster *cluster = &session->engine.cluster;
  for (uint32_t i = 0; i < cluster->node_count; i++)
    cql__session_ask_distance(session, cluster->nodes[i]);
}

void cql__distances_on_timer(cql__timer *timer) {
  cql_session_t *session = cql__container(timer, cql_session_t, deciding);
  if (!session->engine.closing) cql__session_refresh_distances(session);
}
