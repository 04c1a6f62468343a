#include "execute/errand.h"

#include <string.h>

#include "execute/attempt.h"
#include "wire/proto.h"

/* Instead of being polled. */
static int on_end(cql_request_t *request) {
  cql__engine *engine = request->engine;
  if (request->owner) request->on_errand(request->owner, request);
  if (request->result) cql_result_free(request->result);
  engine->errands--;
  cql__request_release(request);
  return 1;
}

cql_request_t *cql__errand_take(cql__engine *engine, uint8_t opcode, const char *text,
                                size_t length,
                                void (*on_done)(void *owner, const cql_request_t *request),
                                void *owner) {
  cql_request_t *request = cql__request_take(engine);
  if (!request) return NULL;
  int error = opcode == CQL__PREPARE ? cql_request_prepare(request, text, length)
                                     : cql_request_query(request, text, length);
  if (error) {
    cql__request_release(request);
    return NULL;
  }
  request->tag = 0;
  request->errand = 1;
  request->on_done = on_end;
  request->on_errand = on_done;
  request->owner = owner;
  request->consistency = CQL_ONE;
  engine->errands++;
  return request;
}

int cql__errand_keyspace(cql_request_t *request, const char *keyspace) {
  cql_options_t options;
  cql_options_init(&options);
  options.keyspace = (cql_slice_t){(const uint8_t *)keyspace, (int32_t)strlen(keyspace)};
  request->in_use = 1;
  return cql_request_options(request, &options);
}

void cql__errand_send(cql_request_t *request, cql__channel *channel, uint32_t timeout_ms) {
  cql__engine *engine = request->engine;
  request->timeout_ms = timeout_ms;
  int error = cql__request_seal(request);
  if (error) {
    cql__request_finish(request, error, 0, NULL);
    return;
  }
  cql__list_append(&engine->fresh, &request->timer.link);
  cql__attempt_send(request, channel);
}

void cql__errand_forget(cql_request_t *request) {
  request->owner = NULL;
  cql__attempt_abandon(request, CQL_ECANCELLED);
}
