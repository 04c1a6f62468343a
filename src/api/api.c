/* The public functions: check, call, translate; no logic. Those without a session are thin names
 * for what lies below; requests, prepared statements and results are public where they are made. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "execute/route.h"
#include "io/fork.h"
#include "io/io.h"
#include "io/poke.h"
#include "message/errors.h"
#include "session/session.h"

static int forked(const cql_session_t *session) { return cql__forked(session->fork_generation); }

/* ---- library ---- */

uint32_t cql_abi_version(void) { return CQL_ABI_VERSION; }
const char *cql_error_name(int error) { return cql__error_name(error); }
const char *cql_error_text(int error) { return cql__error_text(error); }
const char *cql_server_error_name(int code) { return cql__server_error_name(code); }

int cql_set_allocator(void *(*allocate)(size_t), void *(*reallocate)(void *, size_t),
                      void (*release)(void *)) {
  int some = allocate || reallocate || release, all = allocate && reallocate && release;
  if (some != all || cql__sessions_alive()) return CQL_EINVAL;
  cql__mem_hooks(allocate, reallocate, release);
  return 0;
}

/* ---- configuration ---- */

cql_config_t *cql_config_new(void) { return cql__config_new(); }
void cql_config_free(cql_config_t *config) { cql__config_free(config); }
const char *cql_config_error(const cql_config_t *config) { return config->error; }
const char *cql_config_option(uint32_t index) { return cql__config_option(index); }

int cql_config_set(cql_config_t *config, const char *name, const char *value) {
  if (!name || !value) return CQL_EINVAL;
  return cql__config_set(config, name, value);
}

/* ---- session ---- */

int cql_session_new(const cql_config_t *config, cql_session_t **out) {
  *out = NULL;
  cql__io *io;
  char *why = ((cql_config_t *)(uintptr_t)config)->error; /* the reason is told there */
  why[0] = 0;
  int error = cql__io_new(config, &cql__session_link_events, &io, why);
  if (error) return error;
  cql_session_t *session;
  error = cql__session_new(config, &io->link, &cql__io_host, &session);
  if (error) {
    cql__io_host.free(&io->link, 0);
    return error;
  }
  session->fork_generation = cql__fork_generation();
  error = cql__session_start(session);
  if (error) {
    snprintf(why, sizeof config->error, "%s", session->config->error);
    cql_session_free(session);
    return error;
  }
  *out = session;
  return 0;
}

void cql_session_free(cql_session_t *session) {
  if (!session) return;
  const cql__host_ops *host = session->host;
  cql__link *link = session->engine.link;
  int child = forked(session);
  cql__poke_free(session->poke, child);
  if (child) host->fork(link);
  cql__session_free(session);
  host->free(link, child);
}

int cql_session_fd(const cql_session_t *session) {
  return forked(session) ? CQL_EFORKED : session->host->fd(session->engine.link);
}

int cql_session_timeout(cql_session_t *session) {
  if (forked(session) || session->host->eager(session->engine.link)) return 0;
  int64_t wait = cql__session_wait(session);
  return wait > INT32_MAX ? INT32_MAX : (int)wait;
}

int cql_session_step(cql_session_t *session, int wait_ms) {
  if (forked(session)) return CQL_EFORKED;
  cql__session_before(session);
  int64_t wait = cql__session_wait(session);
  if (wait < 0 || (wait_ms >= 0 && wait_ms < wait)) wait = wait_ms;
  int more = session->host->step(session->engine.link, wait);
  cql__poke_stepped(session->poke);
  cql__session_after(session, more);
  return 0;
}

int cql_session_flush(cql_session_t *session) {
  if (forked(session)) return CQL_EFORKED;
  cql__session_before(session);
  return 0;
}

int cql_poll(cql_session_t *session, uint32_t max, cql_completion_t *out) {
  return forked(session) ? CQL_EFORKED : cql__session_poll(session, max, out);
}

int cql_answer(cql_session_t *session, uint32_t tag, const uint8_t *data, int32_t length) {
  return forked(session) ? CQL_EFORKED : cql__session_answer(session, tag, data, length);
}

int cql_session_close(cql_session_t *session, int drain_ms) {
  return forked(session) ? CQL_EFORKED : cql__session_close(session, drain_ms);
}

int cql_session_metrics(const cql_session_t *session, cql_metrics_t *out) {
  if (forked(session)) return CQL_EFORKED;
  cql__session_metrics(session, out);
  return 0;
}

int cql_session_use(cql_session_t *session, const char *keyspace, size_t length, uint32_t tag) {
  if (forked(session)) return CQL_EFORKED;
  if (session->engine.closing) return CQL_ECLOSED;
  return cql__session_use(session, keyspace, length, tag);
}

int cql_session_agreement(cql_session_t *session, int timeout_ms, uint32_t tag) {
  if (forked(session)) return CQL_EFORKED;
  if (session->engine.closing) return CQL_ECLOSED;
  return timeout_ms < 0 ? CQL_EINVAL : cql__session_agreement(session, (uint32_t)timeout_ms, tag);
}

int cql_session_dump(const cql_session_t *session, char *out, size_t size) {
  return forked(session) ? CQL_EFORKED : cql__session_dump(session, out, size);
}

/* ---- nodes ---- */

uint32_t cql_session_nodes(const cql_session_t *session, uint32_t max, cql_node_t **out) {
  const cql__cluster *cluster = &session->engine.cluster;
  if (forked(session)) return 0;
  for (uint32_t i = 0; i < cluster->node_count && i < max; i++)
    out[i] = cql_node_ref(cluster->nodes[i]);
  return cluster->node_count;
}

int cql_node_info(const cql_node_t *node, cql_node_info_t *out) {
  return node->cluster ? cql__node_describe(node, out) : CQL_ECLOSED;
}

int cql_session_refresh_distances(cql_session_t *session) {
  if (forked(session)) return CQL_EFORKED;
  cql__session_refresh_distances(session);
  return 0;
}

int cql_session_refresh(cql_session_t *session) {
  if (forked(session)) return CQL_EFORKED;
  if (!session->config->discover) return CQL_EUNSUPPORTED;
  cql__control_refresh(&session->control);
  return 0;
}

/* ---- requests ---- */

int cql_request_take(cql_session_t *session, cql_request_t **out) {
  cql__engine *engine = &session->engine;
  *out = NULL;
  if (forked(session)) return CQL_EFORKED;
  if (engine->closing) return CQL_ECLOSED;
  if (engine->metrics.taken - engine->errands >= engine->requests_max) return CQL_EBUSY;
  *out = cql__request_take(engine);
  return *out ? 0 : CQL_ENOMEM;
}

void cql_request_discard(cql_request_t *request) {
  if (request && request->state == CQL__REQUEST_TAKEN) cql__request_release(request);
}

int cql_request_routing_key(cql_request_t *request, const cql_slice_t *parts, uint32_t count) {
  return cql__route_by_key(request, parts, count);
}

int cql_request_token(cql_request_t *request, int64_t token) {
  return cql__route_by_token(request, token);
}

int cql_request_target(cql_request_t *request, cql_node_t *node, int32_t shard) {
  return cql__route_target(request, node, shard);
}

uint32_t cql_request_plan(cql_request_t *request, uint32_t max, cql_target_t *targets) {
  return cql__route_plan(request, max, targets);
}

void cql_submit(cql_request_t *request, uint32_t tag) {
  const cql_session_t *session = cql__container(request->engine, cql_session_t, engine);
  if (!forked(session)) cql__session_submit(request, tag);
}

int cql_cancel(cql_session_t *session, uint32_t tag) {
  return forked(session) ? CQL_EFORKED : cql__engine_cancel(&session->engine, tag);
}

/* ---- waking ---- */

int cql_poke_listen(cql_session_t *session, const char *directory, char *path, size_t size) {
  if (forked(session)) return CQL_EFORKED;
  if (cql_session_fd(session) < 0) return CQL_EUNSUPPORTED;
  cql__poke_free(session->poke, 0);
  session->poke = NULL;
  return cql__poke_listen(directory, path, size, &session->poke);
}

int cql_poke_accept(cql_session_t *session) {
  if (forked(session)) return CQL_EFORKED;
  if (!session->poke) return CQL_EINVAL;
  return cql__poke_accept(session->poke, cql_session_fd(session));
}

int cql_poke_arm(cql_session_t *session) {
  if (forked(session)) return CQL_EFORKED;
  if (!session->poke) return CQL_EINVAL;
  return cql__poke_arm(session->poke, cql_session_fd(session), cql_session_timeout(session));
}

int cql_poke_stop(cql_session_t *session) {
  if (forked(session)) return CQL_EFORKED;
  cql__poke_free(session->poke, 0);
  session->poke = NULL;
  return 0;
}
