#include "cluster/endpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/plant.h"
#include "cluster/cluster.h"

/* Somebody waits for the host's answer, or for the addresses of a name. */
typedef struct search {
  cql__list link; /* of cluster->searches */
  cql__timer timer;
  cql__cluster *cluster;
  cql_node_t *node; /* referenced */
  void *owner;
  cql__endpoint_found found;
  uint32_t attempt;
  uint32_t ticket; /* 0: the host is asked */
  cql__destination place;
} search;

/* ---- words ---- */

/* A port and nothing else; 0: it is none. */
static uint16_t read_port(const char *text) {
  char *end;
  if (*text < '0' || *text > '9') return 0;
  unsigned long port = strtoul(text, &end, 10);
  return *end || port > UINT16_MAX ? 0 : (uint16_t)port;
}

/* Cuts a text in two at the last of `c`; NULL: there is none. */
static char *cut(char *text, char c) {
  char *at = strrchr(text, c);
  if (at) *at++ = 0;
  return at;
}

int cql__endpoint_read(cql_slice_t text, cql__destination *out) {
  *out = (cql__destination){.port = 0};
  if (text.length <= 0 || (size_t)text.length >= sizeof out->host ||
      memchr(text.data, 0, (size_t)text.length))
    return 0;
  memcpy(out->host, text.data, (size_t)text.length);
  char *name = strchr(out->host, ' ');
  if (name) {
    *name++ = 0;
    snprintf(out->server_name, sizeof out->server_name, "%s", name);
  }
  const char *shard_port = cut(out->host, '/'), *port = cut(out->host, ':');
  if (!port || !*out->host || !(out->port = read_port(port))) return 0;
  return !shard_port || (out->shard_port = read_port(shard_port));
}

/* ---- what is found ---- */

/* A name that is looked up is the one that the certificate should carry, unless the host knows
 * better. */
static const char *server_name_of(const cql__cluster *cluster, const cql__destination *place,
                                  int is_name) {
  if (*place->server_name) return place->server_name;
  return is_name && !cluster->names_told ? place->host : NULL;
}

static void give(cql__cluster *cluster, const cql__destination *place, const cql__address *address,
                 int is_name, void *owner, cql__endpoint_found found) {
  cql__endpoint endpoint = {.target = {.address = *address}};
  endpoint.target.server_name = server_name_of(cluster, place, is_name);
  if (cluster->settings->features & CQL__FEATURE_SHARD_PORT)
    endpoint.shard_port = place->shard_port;
  found(owner, &endpoint);
}

static void give_own(const cql_node_t *node, void *owner, cql__endpoint_found found) {
  cql__endpoint endpoint = {.target = {.address = node->data.address},
                            .shard_port = node->shard_port};
  found(owner, &endpoint);
}

static void fail(void *owner, cql__endpoint_found found, int error, const char *why) {
  cql__endpoint endpoint = {.error = error, .why = why};
  found(owner, &endpoint);
}

/* ---- searches ---- */

/* Nobody waits for it any more; it must still be freed. */
static void stop(search *s) {
  cql__list_remove(&s->link);
  cql__timer_cancel(&s->timer);
}

static void release(search *s) {
  cql_node_unref(s->node);
  cql__free(s);
}

static void end_failed(search *s, int error, const char *why) {
  stop(s);
  fail(s->owner, s->found, error, why);
  release(s);
}

static void end_unresolved(search *s, int error, const char *what) {
  char why[sizeof s->place.host + 64];
  snprintf(why, sizeof why, "%s %s", s->place.host, what);
  end_failed(s, error, why);
}

static void on_timeout(cql__timer *timer) {
  end_unresolved(cql__container(timer, search, timer), CQL_ERESOLVE,
                 "was not looked up within resolve_timeout_ms");
}

static search *begin(cql_node_t *node, uint32_t attempt, void *owner, cql__endpoint_found found) {
  search *s = cql__zalloc(sizeof *s);
  if (!s) return NULL;
  s->cluster = node->cluster;
  s->node = cql_node_ref(node);
  s->owner = owner;
  s->found = found;
  s->attempt = attempt;
  cql__timer_init(&s->timer, on_timeout);
  cql__list_append(&node->cluster->searches, &s->link);
  return s;
}

static void look_up(search *s) {
  cql__cluster *cluster = s->cluster;
  const cql__connection_settings *settings = cluster->settings;
  cql__link *link = settings->link;
  s->ticket = ++cluster->tickets | CQL__ENDPOINT_TICKET;
  int error = link->ops->resolve(link, s->place.host, s->place.port, settings->user, s->ticket);
  if (error)
    end_failed(s, error, cql__error_text(error));
  else
    cql__timer_set(settings->wheel, &s->timer, cql__link_now(link) + cluster->resolve_timeout_ms);
}

void cql__endpoint_resolved(cql__cluster *cluster, uint32_t ticket, int error,
                            const cql__address *addresses, uint32_t count) {
  for (cql__list *at = cluster->searches.next; at != &cluster->searches; at = at->next) {
    search *s = cql__container(at, search, link);
    if (s->ticket != ticket) continue;
    if (count == 0) {
      end_unresolved(s, error ? error : CQL_ERESOLVE, "has no address");
      return;
    }
    stop(s);
    give(cluster, &s->place, &addresses[s->attempt % count], 1, s->owner, s->found);
    release(s);
    return;
  }
}

/* ---- asking ---- */

/* To where `destination` says, which may take a look-up. */
static void go(search *s) {
  cql__address address;
  const cql__destination *to = &s->place;
  if (cql__address_from_text(to->host, strlen(to->host), to->port, &address)) {
    look_up(s);
    return;
  }
  stop(s);
  give(s->cluster, to, &address, 0, s->owner, s->found);
  release(s);
}

void cql__endpoint_answered(void *question, cql_slice_t answer) {
  search *s = question;
  if (cql__endpoint_read(answer, &s->place)) {
    go(s);
    return;
  }
  stop(s);
  give_own(s->node, s->owner, s->found);
  release(s);
}

/* Once routes are known each node needs one: its own address is of a network that isn't ours. */
static void follow_route(search *s) {
  const cql__client_route *route =
      cql__client_routes_find(&s->cluster->client_routes, s->node->data.host_id);
  if (!route && CQL__PLANTED(CQL__PLANT_ROUTE)) {
    cql__endpoint_answered(s, (cql_slice_t){NULL, CQL_NULL});
    return;
  }
  if (!route) {
    end_failed(s, CQL_ECONNECT, "no client route leads to it");
    return;
  }
  snprintf(s->place.host, sizeof s->place.host, "%s", route->address);
  s->place.port = route->port;
  go(s);
}

/* A contact point that nobody has told of is where it is. */
static int is_found_elsewhere(const cql_node_t *node) {
  static const uint8_t unknown[16];
  const cql__cluster *cluster = node->cluster;
  if (!memcmp(node->data.host_id, unknown, 16)) return 0;
  return cluster->asks || cluster->client_routes.is_known;
}

void cql__endpoint_find(cql_node_t *node, uint32_t attempt, void *owner,
                        cql__endpoint_found found) {
  cql__cluster *cluster = node->cluster;
  if (!is_found_elsewhere(node)) {
    give_own(node, owner, found);
    return;
  }
  search *s = begin(node, attempt, owner, found);
  if (!s) {
    fail(owner, found, CQL_ENOMEM, "no memory to find where the node is reached");
    return;
  }
  if (!cluster->asks)
    follow_route(s);
  else if (cluster->events->endpoint(cluster->user, node, s) <= 0)
    end_failed(s, CQL_ENOMEM, "no memory to ask where the node is reached");
}

void cql__endpoint_forget(cql__cluster *cluster, const void *owner) {
  for (cql__list *at = cluster->searches.next; at != &cluster->searches;) {
    search *s = cql__container(at, search, link);
    at = at->next;
    if (s->owner != owner) continue;
    if (!s->ticket) cluster->events->forget(cluster->user, s);
    stop(s);
    release(s);
  }
}
