#include "cluster/client_routes.h"

#include <string.h>

#include "base/limits.h"
#include "base/mem.h"

enum { TEXT_MAX = 255 };

/* ---- the configuration ---- */

static int is_blank(char c) { return c == ' ' || c == '\t'; }

/* The id at *at, without blanks around it, and its length; *at moves past its comma. */
static const char *next_id(const char **at, size_t *length) {
  const char *start = *at, *end = start + strcspn(start, ",");
  *at = *end ? end + 1 : end;
  while (start < end && is_blank(*start)) start++;
  while (end > start && is_blank(end[-1])) end--;
  *length = (size_t)(end - start);
  return start;
}

static int read_ids(cql__client_routes *routes, const char *ids) {
  while (*ids) {
    size_t length;
    const char *id = next_id(&ids, &length);
    if (length == 0) continue;
    if (length > TEXT_MAX || routes->ids.count == CQL__CLIENT_ROUTE_IDS_MAX) return CQL_EVALUE;
    if (!cql__names_keep(&routes->ids, id, length)) return CQL_ENOMEM;
  }
  return routes->ids.count ? 0 : CQL_EVALUE;
}

static char *put_text(char *out, const char *text) {
  size_t length = strlen(text);
  memcpy(out, text, length + 1);
  return out + length;
}

/* As a literal of CQL. */
static char *put_literal(char *out, const cql__name *id) {
  *out++ = '\'';
  for (uint32_t i = 0; i < id->length; i++) {
    if (id->text[i] == '\'') *out++ = '\'';
    *out++ = id->text[i];
  }
  return put_text(out, "'");
}

static int make_query(cql__client_routes *routes, int tls) {
  size_t size = 128;
  for (uint32_t i = 0; i < routes->ids.capacity; i++)
    if (routes->ids.slots[i]) size += 2 * (size_t)routes->ids.slots[i]->length + 4;
  char *out = routes->query = cql__malloc(size);
  if (!out) return CQL_ENOMEM;
  out = put_text(out, "SELECT connection_id, host_id, address, ");
  out = put_text(out, tls ? "tls_port" : "port");
  out = put_text(out, " FROM system.client_routes WHERE connection_id IN (");
  const char *between = "";
  for (uint32_t i = 0; i < routes->ids.capacity; i++) {
    if (!routes->ids.slots[i]) continue;
    out = put_literal(put_text(out, between), routes->ids.slots[i]);
    between = ", ";
  }
  put_text(out, ")");
  return 0;
}

int cql__client_routes_init(cql__client_routes *routes, const char *ids, int tls) {
  int error = read_ids(routes, ids);
  return error ? error : make_query(routes, tls);
}

/* ---- rows ---- */

static void clear(cql__client_route_table *table) {
  for (uint32_t i = 0; i < table->hosts.count; i++) cql__free(table->routes[i].address);
  cql__free(table->routes);
  cql__names_deinit(&table->hosts);
  *table = (cql__client_route_table){.routes = NULL};
}

void cql__client_routes_deinit(cql__client_routes *routes) {
  clear(&routes->known);
  clear(&routes->draft);
  cql__names_deinit(&routes->ids);
  cql__free(routes->query);
  routes->query = NULL;
}

void cql__client_routes_begin(cql__client_routes *routes) {
  clear(&routes->draft);
  routes->bad_rows = 0;
  routes->reading = 1;
}

void cql__client_routes_forget(cql__client_routes *routes) {
  clear(&routes->draft);
  routes->reading = 0;
}

static cql__client_route *find(const cql__client_route_table *table, const uint8_t *host_id) {
  const cql__name *host = cql__names_find(&table->hosts, host_id, 16);
  return host ? &table->routes[host->number] : NULL;
}

/* A route without an address, for this host; NULL: no memory. */
static cql__client_route *add(cql__client_route_table *table, const uint8_t *host_id) {
  if (table->hosts.count == table->capacity) {
    uint32_t capacity = table->capacity ? 2 * table->capacity : 16;
    cql__client_route *all = cql__realloc(table->routes, capacity * sizeof *all);
    if (!all) return NULL;
    table->routes = all;
    table->capacity = capacity;
  }
  cql__client_route *route = &table->routes[table->hosts.count];
  const cql__name *host = cql__names_keep(&table->hosts, host_id, 16);
  if (!host) return NULL;
  *route = (cql__client_route){.host_id = (const uint8_t *)host->text};
  return route;
}

/* Something that a resolver may be given. */
static int is_address(cql_slice_t text) {
  if (text.length < 1 || text.length > TEXT_MAX) return 0;
  for (int32_t i = 0; i < text.length; i++)
    if (text.data[i] <= ' ' || text.data[i] == 127) return 0;
  return 1;
}

/* 0: it has none. */
static uint16_t port_of(cql_slice_t cell) {
  int32_t port = cell.length == 4 ? (int32_t)cql__get_u32(cell.data) : 0;
  return port > 0 && port <= UINT16_MAX ? (uint16_t)port : 0;
}

/* Does the id count more than the one whose route is there, for a node that had `kept`? */
static int is_better(uint32_t id, uint32_t other, const cql__client_route *kept) {
  if (kept && other == kept->id) return 0;
  return (kept && id == kept->id) || id < other;
}

/* CQL_EVALUE: the row is of no use. */
static int take_row(cql__client_routes *routes, const cql_slice_t cells[4]) {
  static const uint8_t none[16];
  cql_slice_t id_text = cells[0], host_id = cells[1], address = cells[2];
  const cql__name *id = id_text.length < 0
                            ? NULL
                            : cql__names_find(&routes->ids, id_text.data, (size_t)id_text.length);
  uint16_t port = port_of(cells[3]);
  if (!id || host_id.length != 16 || !memcmp(host_id.data, none, 16) || !is_address(address) ||
      !port)
    return CQL_EVALUE;
  cql__client_route *route = find(&routes->draft, host_id.data);
  if (route && route->address &&
      !is_better(id->number, route->id, find(&routes->known, host_id.data)))
    return 0;
  if (!route && routes->draft.hosts.count == CQL__CLIENT_ROUTES_MAX) return CQL_EVALUE;
  char *copy = cql__text_copy((const char *)address.data, (size_t)address.length);
  if (copy && !route) route = add(&routes->draft, host_id.data);
  if (!route || !copy) {
    cql__free(copy);
    return CQL_ENOMEM;
  }
  cql__free(route->address);
  route->address = copy;
  route->port = port;
  route->id = (uint16_t)id->number;
  return 0;
}

int cql__client_routes_take(cql__client_routes *routes, cql__cursor *rows) {
  cql_slice_t cells[CQL__CLIENT_ROUTE_COLUMNS];
  for (int i = 0; i < CQL__CLIENT_ROUTE_COLUMNS; i++) cells[i] = cql__read_bytes(rows);
  if (rows->broken) return CQL_EMALFORMED;
  int error = take_row(routes, cells);
  if (error == CQL_ENOMEM) return error;
  routes->bad_rows += error != 0;
  return 0;
}

/* ---- in force ---- */

static int leads_elsewhere(const cql__client_route *route, const cql__client_route *before) {
  return !before || before->port != route->port || strcmp(before->address, route->address) != 0;
}

void cql__client_routes_end(cql__client_routes *routes,
                            void (*changed)(void *user, const uint8_t host_id[16]), void *user) {
  if (!routes->reading) return;
  cql__client_route_table before = routes->known;
  routes->known = routes->draft;
  routes->draft = (cql__client_route_table){.routes = NULL};
  routes->reading = 0;
  routes->is_known = 1;
  for (uint32_t i = 0; i < routes->known.hosts.count; i++) {
    const cql__client_route *route = &routes->known.routes[i];
    if (leads_elsewhere(route, find(&before, route->host_id))) changed(user, route->host_id);
  }
  clear(&before);
}

const cql__client_route *cql__client_routes_find(const cql__client_routes *routes,
                                                 const uint8_t host_id[16]) {
  return find(&routes->known, host_id);
}

int cql__client_routes_concern(const cql__client_routes *routes, cql_slice_t connection_ids) {
  if (connection_ids.length < 0) return 0;
  cql__cursor list = cql__cursor_of(connection_ids.data, (size_t)connection_ids.length);
  for (uint16_t left = cql__read_u16(&list); left && !list.broken; left--) {
    cql_slice_t id = cql__read_short_bytes(&list);
    if (!list.broken && cql__names_find(&routes->ids, id.data, (size_t)id.length)) return 1;
  }
  return 0;
}
