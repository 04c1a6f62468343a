/* USE: first as an ordinary request, so that its error is the server's own; then, once it has
 * succeeded, on every other connection. New connections say it before they serve. */
#include <string.h>

#include "base/mem.h"
#include "session/session.h"

static int on_answered(cql_request_t *request);

int cql__session_use(cql_session_t *session, const char *keyspace, size_t length, uint32_t tag) {
  cql__engine *engine = &session->engine;
  if (session->use_keyspace || session->use_request) return CQL_EBUSY;
  if (length == 0 || length > 200 || memchr(keyspace, 0, length)) return CQL_EINVAL;
  cql_request_t *request = cql__request_take(engine);
  char *name = cql__text_copy(keyspace, length);
  char text[512] = "USE \"";
  size_t used = 5;
  for (size_t i = 0; i < length; i++) {
    if (keyspace[i] == '"') text[used++] = '"';
    text[used++] = keyspace[i];
  }
  text[used++] = '"';
  if (!request || !name || cql_request_query(request, text, used)) {
    if (request) cql__request_release(request);
    cql__free(name);
    return CQL_ENOMEM;
  }
  session->use_keyspace = name;
  session->use_error = 0;
  request->use = 1;
  request->on_done = on_answered;
  cql__session_submit(request, tag);
  return 0;
}

static void tell_keyspace(cql_session_t *session) {
  cql__session_tell(session, CQL_EVENT_KEYSPACE, 0, "", session->engine.settings.keyspace);
}

/* All have said it, or failed to: now the host may know. */
static void finish(cql_session_t *session) {
  cql_request_t *request = session->use_request;
  session->use_request = NULL;
  if (request->status == 0) request->status = session->use_error;
  if (request->status == 0) tell_keyspace(session);
  cql__list_append(&session->engine.done, &request->link);
}

static void count_using(cql__channel *channel, void *user) {
  *(int *)user += cql__connection_is_using(&channel->connection);
}

static int is_under_way(const cql_session_t *session) {
  int count = 0;
  cql__cluster_each_serving(&session->engine.cluster, count_using, &count);
  return count > 0;
}

static void use(cql__channel *channel, void *user) {
  (void)user;
  cql__connection_use(&channel->connection);
}

/* 1: it isn't to be polled yet. */
static int on_answered(cql_request_t *request) {
  cql__engine *engine = request->engine;
  cql_session_t *session = cql__container(engine, cql_session_t, engine);
  request->on_done = NULL;
  char *name = session->use_keyspace;
  session->use_keyspace = NULL;
  if (request->status) {
    cql__free(name);
    return 0;
  }
  cql__free(engine->settings.keyspace);
  engine->settings.keyspace = name;
  engine->settings.keyspace_serial++;
  cql__cluster_each_serving(&engine->cluster, use, NULL);
  if (is_under_way(session)) {
    session->use_request = request;
    return 1;
  }
  tell_keyspace(session);
  return 0;
}

void cql__use_on_used(void *owner, cql__connection *connection, int error) {
  const cql__channel *channel = owner;
  cql_session_t *session = connection->settings->user;
  if (error)
    cql__session_tell(session, CQL_EVENT_WARNING, error, channel->node->text,
                      "this connection could not change to the keyspace");
  if (!session->use_request) return;
  if (error == CQL_EKEYSPACE) session->use_error = error;
  if (!is_under_way(session)) finish(session);
}
