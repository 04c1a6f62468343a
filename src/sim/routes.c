/* Routes: what lies before nodes: addresses that lead to them, and the table in which ScyllaDB
 * tells clients of such [scylladb docs/dev/protocol-extensions.md, CLIENT_ROUTES_CHANGE]. */
#include "sim/world.h"

/* ---- addresses that lead to a node ---- */

static int is_name(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

static cql__sim_forward *find_forward(const cql_sim_t *sim, const cql__address *address,
                                      const char *server_name) {
  for (size_t i = 0; i < sim->forward_count; i++)
    if (cql__address_equal(&sim->forwards[i].address, address) &&
        is_name(sim->forwards[i].server_name, server_name))
      return &sim->forwards[i];
  return NULL;
}

const cql__sim_forward *cql__sim_forward_find(const cql_sim_t *sim, const cql__target *target) {
  const cql__sim_forward *found = find_forward(sim, &target->address, target->server_name);
  return found ? found : find_forward(sim, &target->address, NULL);
}

int cql_sim_forward(cql_sim_t *sim, const char *address, int port, int node,
                    const char *server_name) {
  cql__address from;
  if (port < 1 || port > 65535 ||
      cql__address_from_text(address, strlen(address), (uint16_t)port, &from))
    return cql__sim_mistake(sim, CQL_EVALUE, "\"%s\" and %d are no address and port", address,
                            port);
  if (node >= 0 && !cql__sim_node_at(sim, node)) return CQL_EINVAL;
  cql__sim_forward *known = find_forward(sim, &from, server_name);
  if (known) {
    cql__sim_release(known->server_name);
    *known = sim->forwards[--sim->forward_count];
  }
  if (node < 0) return 0;
  sim->forwards = cql__sim_grow(sim->forwards, sim->forward_count, &sim->forward_capacity,
                                sizeof *sim->forwards);
  char *name = server_name ? cql__sim_text(server_name, strlen(server_name)) : NULL;
  sim->forwards[sim->forward_count++] = (cql__sim_forward){from, name, node};
  return 0;
}

/* ---- system.client_routes ---- */

static void free_route(cql__sim_route *route) {
  cql__sim_release(route->connection_id);
  cql__sim_release(route->address);
}

void cql__sim_routes_free(cql_sim_t *sim) {
  for (size_t i = 0; i < sim->route_count; i++) free_route(&sim->routes[i]);
  for (size_t i = 0; i < sim->forward_count; i++) cql__sim_release(sim->forwards[i].server_name);
  cql__sim_release(sim->routes);
  cql__sim_release(sim->told_routes);
  cql__sim_release(sim->forwards);
}

static cql__sim_route *find_route(const cql_sim_t *sim, const char *connection_id, int node) {
  for (size_t i = 0; i < sim->route_count; i++)
    if (sim->routes[i].node == node && strcmp(sim->routes[i].connection_id, connection_id) == 0)
      return &sim->routes[i];
  return NULL;
}

/* Who is registered hears which route has changed, from each node. */
static int tell(cql_sim_t *sim, const char *connection_id, const cql__sim_node *node) {
  cql__sim_buffer body = {0};
  cql__sim_put_string(&body, "CLIENT_ROUTES_CHANGE");
  cql__sim_put_string(&body, "UPDATE_NODES");
  cql__sim_put_u16(&body, 1);
  cql__sim_put_string(&body, connection_id);
  cql__sim_put_u16(&body, 1);
  cql__sim_put_string(&body, node->host_text);
  cql_slice_t bytes = cql__sim_slice(&body);
  int told = cql_sim_tell_raw(sim, CQL_SIM_ALL, bytes.data, (size_t)bytes.length);
  cql__sim_buffer_free(&body);
  return told;
}

int cql_sim_route(cql_sim_t *sim, const char *connection_id, int index, const char *address,
                  int port, int tls_port) {
  const cql__sim_node *node = cql__sim_node_at(sim, index);
  if (!node) return CQL_EINVAL;
  if (address && (port < 0 || port > 65535 || tls_port < 0 || tls_port > 65535))
    return cql__sim_mistake(sim, CQL_EVALUE, "%d and %d are no ports", port, tls_port);
  cql__sim_route *route = find_route(sim, connection_id, index);
  if (route) {
    free_route(route);
    *route = sim->routes[--sim->route_count];
  }
  if (address) {
    sim->routes =
        cql__sim_grow(sim->routes, sim->route_count, &sim->route_capacity, sizeof *sim->routes);
    sim->routes[sim->route_count++] =
        (cql__sim_route){cql__sim_text(connection_id, strlen(connection_id)), index,
                         cql__sim_text(address, strlen(address)), port, tls_port};
  }
  return tell(sim, connection_id, node);
}

void cql__sim_routes_describe(cql_sim_t *sim, cql__system *out) {
  sim->told_routes =
      cql__sim_realloc(sim->told_routes, sim->route_count * sizeof *sim->told_routes);
  for (size_t i = 0; i < sim->route_count; i++) {
    const cql__sim_route *route = &sim->routes[i];
    sim->told_routes[i] =
        (cql__system_route){route->connection_id, sim->nodes[route->node]->host_id, route->address,
                            route->port, route->tls_port};
  }
  out->route_count = (uint32_t)sim->route_count;
  out->routes = sim->told_routes;
}
