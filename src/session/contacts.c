/* Contacts: the contact points of the configuration, their names looked up, again when all is lost.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "session/session.h"

/* While none serves names are looked up again, so often. */
enum { RESOLVE_AGAIN_MS = 5000 };
/* Look-ups are told apart by round and by contact point. */
enum { ROUND = 1 << 16 };

static void begin_round(cql_session_t *session) {
  session->resolve_ticket = (session->resolve_ticket + ROUND) & ~CQL__ENDPOINT_TICKET;
}

void cql__contacts_resolve_in(cql_session_t *session, uint64_t delay_ms) {
  uint64_t now = cql__link_now(session->engine.link);
  cql__timer_set(&session->engine.wheel, &session->resolving, now + delay_ms);
}

/* A node, where the contact points are all that there are. */
static int add_node(cql_session_t *session, const cql__address *address) {
  cql__cluster *cluster = &session->engine.cluster;
  if (cql__cluster_at(cluster, address)) return 0;
  cql_node_t *node;
  cql__node_data data = {.address = *address};
  if (cql__cluster_add(cluster, &data, &node)) return CQL_ENOMEM;
  node->is_contact = node->undecided = 1;
  return 0;
}

static int add_address(cql_session_t *session, const cql__address *address, uint32_t giver) {
  if (session->config->discover) return cql__control_add(&session->control, address, giver);
  return add_node(session, address);
}

/* After all have been added: what fails at once must not look as if it had been the only one. */
void cql__contacts_open(cql_session_t *session) {
  cql__cluster *cluster = &session->engine.cluster;
  cql__control_start(&session->control);
  for (uint32_t i = 0; i < cluster->node_count; i++) {
    cql_node_t *node = cluster->nodes[i];
    if (node->is_contact && node->undecided) cql__session_ask_distance(session, node);
  }
}

void cql__contacts_blind(cql_session_t *session, const cql__address *address) {
  if (session->control.reading.has_topology)
    return; /* what was read before is better than nothing */
  if (add_node(session, address) == 0) cql__contacts_open(session);
}

/* The contact point at *at and its length; 0: no more. */
static size_t next_contact(const char **at) {
  *at += strspn(*at, ", \t");
  return strcspn(*at, ", \t");
}

static const char *contact_points(const cql_session_t *session) {
  const char *text = session->config->contact_points;
  return text && *text ? text : "127.0.0.1";
}

/* For programs, and in words for people. */
static void tell_unresolved(cql_session_t *session, int error, const char *text) {
  cql__session_tell(session, CQL_EVENT_RESOLVE_FAILED, error, "", text);
  cql__session_tell(session, CQL_EVENT_WARNING, error, "", text);
}

static void name_failed(cql_session_t *session, uint32_t index, int error, const char *why) {
  const char *at = contact_points(session);
  size_t length = next_contact(&at);
  while (index-- > 0) {
    at += length;
    length = next_contact(&at);
  }
  char text[320];
  snprintf(text, sizeof text, "contact point %.*s: %s", (int)length, at, why);
  session->names_failed++;
  tell_unresolved(session, error, text);
}

void cql__contacts_resolved(cql_session_t *session, uint32_t ticket, int error,
                            const cql__address *addresses, uint32_t count) {
  uint32_t index = ticket - session->resolve_ticket;
  if (index >= ROUND || session->engine.closing) return; /* of a round that is over */
  if (session->names_pending) session->names_pending--;
  for (uint32_t i = 0; i < count; i++)
    if (add_address(session, &addresses[i], index)) error = CQL_ENOMEM;
  if (!error) cql__candidates_keep(&session->control.candidates, index, addresses, count);
  if (error) name_failed(session, index, error, cql__error_text(error));
  cql__contacts_open(session);
  if (session->names_pending == 0) cql__contacts_resolve_in(session, RESOLVE_AGAIN_MS);
  cql__session_check_hope(session);
}

/* One of "host", "host:port", "[v6]", "[v6]:port", "v6". */
static int split_port(const char *text, size_t *length, uint16_t *port) {
  const char *colon = NULL;
  size_t colons = 0;
  for (size_t i = 0; i < *length; i++) {
    if (text[i] != ':') continue;
    colon = text + i;
    colons++;
  }
  const char *bracket = memchr(text, ']', *length);
  if (!colon || (bracket ? colon < bracket : colons > 1)) return 0;
  char digits[8], *end;
  size_t size = (size_t)(text + *length - colon - 1);
  if (size == 0 || size >= sizeof digits) return CQL_EOPTION;
  memcpy(digits, colon + 1, size);
  digits[size] = 0;
  long number = strtol(digits, &end, 10);
  if (*end || number < 1 || number > 65535) return CQL_EOPTION;
  *port = (uint16_t)number;
  *length = (size_t)(colon - text);
  return 0;
}

int cql__contacts_bad(cql_session_t *session, const char *text, size_t length) {
  snprintf(session->config->error, sizeof session->config->error,
           "contact_points: \"%.*s\" is neither an address nor a name, with a port or without",
           length < 100 ? (int)length : 100, text);
  return CQL_EOPTION;
}

/* A name is looked up; an address is added, unless only names are wanted. */
static int add_contact(cql_session_t *session, uint32_t index, const char *text, size_t length,
                       int names_only) {
  uint16_t port = (uint16_t)session->config->port;
  size_t whole = length;
  char name[256];
  cql__address address;
  if (split_port(text, &length, &port) || length == 0 || length >= sizeof name)
    return cql__contacts_bad(session, text, whole);
  if (cql__address_from_text(text, length, port, &address) == 0)
    return names_only ? 0 : add_address(session, &address, index);
  memcpy(name, text, length);
  name[length] = 0;
  cql__link *link = session->engine.link;
  int error = link->ops->resolve(link, name, port, session, session->resolve_ticket + index);
  if (error)
    name_failed(session, index, error, cql__error_text(error));
  else
    session->names_pending++;
  return 0;
}

int cql__contacts_add(cql_session_t *session, int names_only) {
  const char *at = contact_points(session);
  begin_round(session);
  session->names_pending = session->names_failed = 0;
  uint32_t index = 0;
  for (size_t length; index < ROUND && (length = next_contact(&at)) > 0; at += length) {
    int error = add_contact(session, index++, at, length, names_only);
    if (error) return error;
  }
  if (session->names_pending)
    cql__contacts_resolve_in(session, (uint64_t)session->config->resolve_timeout_ms);
  else if (session->names_failed)
    cql__contacts_resolve_in(session, RESOLVE_AGAIN_MS);
  return 0;
}

/* Look-ups take too long, or all connections are gone: names may mean something else by now. */
void cql__contacts_on_timer(cql__timer *timer) {
  cql_session_t *session = cql__container(timer, cql_session_t, resolving);
  if (session->engine.closing) return;
  if (session->names_pending) {
    session->names_failed += session->names_pending;
    session->names_pending = 0;
    begin_round(session); /* answers that come now are of no use */
    tell_unresolved(session, CQL_ERESOLVE,
                    "contact points were not resolved within resolve_timeout_ms");
    cql__session_check_hope(session);
  }
  if (session->engine.closing || session->engine.cluster.serving_count) return;
  cql__contacts_add(session, 1);
  if (!cql__timer_is_set(timer)) cql__contacts_resolve_in(session, RESOLVE_AGAIN_MS);
}
