#include "execute/agreement.h"

#include <string.h>

#include "base/mem.h"
#include "execute/errand.h"
#include "wire/proto.h"

enum { VERSION_SIZE = 16, ROWS = 64 };
/* A look without an answer is given up after this, and there may be another. */
enum { LOOK_MS = 5000 };

enum { LOCAL = 0, PEERS, STEPS };

typedef struct cql__agreement {
  cql__list link;                    /* engine->agreements */
  cql__timer timer;                  /* the next look, or the end */
  cql_request_t *request;            /* that waits */
  cql_request_t *errand;             /* the question under way; NULL: none is */
  cql_node_t *node;                  /* whom to ask, referenced; NULL: any */
  uint64_t limit;                    /* then it waits no more */
  const cql__connection *connection; /* that the change came by; compared: it may be gone */
  uint8_t version[VERSION_SIZE];
  uint8_t has_version;
  uint8_t step;
  uint8_t differ;  /* what was read in this look */
  uint8_t seen;    /* a look has shown that they differ */
  uint8_t once;    /* one look will do */
  uint64_t change; /* of the newest change that is waited for, as engine->changes counts */
  uint64_t look;   /* of the look */
} cql__agreement;

/* What is asked in a step: rows of (schema_version, host_id). */
static const char *const questions[STEPS] = {
    [LOCAL] = "SELECT schema_version, host_id FROM system.local WHERE key='local'",
    [PEERS] = "SELECT schema_version, host_id FROM system.peers",
};

static uint64_t now_of(const cql__engine *engine) { return cql__link_now(engine->link); }

static void free_agreement(cql__agreement *agreement) {
  cql__timer_cancel(&agreement->timer);
  cql__list_remove(&agreement->link);
  if (agreement->errand) cql__errand_forget(agreement->errand);
  cql_node_unref(agreement->node);
  cql__free(agreement);
}

/* `version`: CQL_EVENT_AGREEMENT's text. */
static void tell(const cql__agreement *agreement, int status) {
  cql__engine *engine = agreement->request->engine;
  char version[37] = "";
  if (agreement->has_version) cql_uuid_to_text(agreement->version, version);
  engine->tell_node(engine->user, CQL_EVENT_AGREEMENT, status, agreement->node, version);
}

static void end(cql__agreement *agreement, int status, int8_t agreed) {
  cql_request_t *request = agreement->request;
  cql_result_t *result = request->result;
  request->result = NULL;
  request->owner = NULL;
  request->schema_agreed = agreed;
  free_agreement(agreement);
  if (status && result) {
    cql_result_free(result);
    result = NULL;
  }
  cql__request_finish(request, status, 0, result);
}

static int is_watch(const cql__agreement *agreement) { return agreement->request->errand; }

/* They agree, and that was seen after the changes that nobody waits for but who watches: all of it
 * is told by one event. */
static void end_watches(const cql__agreement *agreed) {
  cql__list *list = &agreed->request->engine->agreements, *next;
  for (cql__list *at = list->next; at != list; at = next) {
    cql__agreement *other = cql__container(at, cql__agreement, link);
    next = at->next;
    if (other != agreed && is_watch(other) && other->change < agreed->look) end(other, 0, 1);
  }
}

/* It is known whether they agree, or won't be. */
static void decide(cql__agreement *agreement, int agrees) {
  int is_change = agreement->request->result != NULL;
  int status = agrees ? 0 : CQL_ETIMEOUT;
  int8_t agreed = agrees ? 1 : agreement->seen || is_change ? 0 : -1;
  tell(agreement, status);
  if (agrees) end_watches(agreement);
  end(agreement, is_change ? 0 : status, agreed);
}

void cql__agreement_abandon(cql_request_t *request, int error) {
  cql__agreement *agreement = request->owner;
  if (error == CQL_ETIMEOUT) {
    decide(agreement, 0);
    return;
  }
  int is_change = request->result != NULL;
  end(agreement, is_change && error != CQL_ECANCELLED ? 0 : error, is_change ? 0 : -1);
}

void cql__agreement_abandon_all(cql__engine *engine, int error) {
  cql__list *list = &engine->agreements;
  while (!cql__list_empty(list))
    cql__agreement_abandon(cql__container(list->next, cql__agreement, link)->request, error);
}

void cql__agreement_deinit(cql__engine *engine) {
  cql__list *list = &engine->agreements;
  while (!cql__list_empty(list)) {
    cql__agreement *agreement = cql__container(list->next, cql__agreement, link);
    agreement->errand = NULL; /* it goes with all requests */
    free_agreement(agreement);
  }
}

/* ---- a look ---- */

static void look_later(cql__agreement *agreement) {
  cql__engine *engine = agreement->request->engine;
  uint64_t next = now_of(engine) + engine->agreement_interval_ms;
  if (next > agreement->limit) next = agreement->limit;
  cql__timer_set(&engine->wheel, &agreement->timer, next);
}

/* Nothing was learned in this look. */
static void look_failed(cql__agreement *agreement) {
  if (agreement->request->result == NULL && agreement->node && !agreement->connection) {
    cql_node_unref(agreement->node); /* any node will do: the next one, then */
    agreement->node = NULL;
  }
  if (agreement->once)
    decide(agreement, 0);
  else
    look_later(agreement);
}

/* Not one that was lost, and to which nobody could connect since; nor one that is ignored: nobody
 * knows whether it is down, and nobody here asks it anything. A row without a host id is what is
 * left of a node. */
static int is_waited_for(const cql__engine *engine, const cql_cell_t *host_id) {
  const cql__cluster *cluster = &engine->cluster;
  if (host_id->length != 16) return 0;
  for (uint32_t i = 0; i < cluster->node_count; i++) {
    const cql_node_t *node = cluster->nodes[i];
    if (memcmp(node->data.host_id, host_id->as.bytes, 16)) continue;
    if (node->undecided || node->serving_count) return 1;
    if (node->distance == CQL_DISTANCE_IGNORED) return 0;
    return node->channel_count == 0 || node->channels[0]->failures == 0;
  }
  return 1;
}

static int take_row(cql__agreement *agreement, const cql_cell_t *row) {
  const cql_cell_t *version = &row[0];
  if (version->length < 0) return 0; /* it doesn't know, or is on its way out */
  if (version->length != VERSION_SIZE) return CQL_EMALFORMED;
  if (agreement->step == LOCAL) {
    memcpy(agreement->version, version->as.bytes, VERSION_SIZE);
    agreement->has_version = 1;
  } else if (memcmp(agreement->version, version->as.bytes, VERSION_SIZE) &&
             is_waited_for(agreement->request->engine, &row[1])) {
    agreement->differ = 1;
  }
  return 0;
}

static int take_rows(cql__agreement *agreement, cql_result_t *result) {
  if (!result || result->kind != CQL_RESULT_ROWS || result->metadata->column_count != 2 ||
      result->metadata->columns[0].type.kind != CQL_UUID ||
      result->metadata->columns[1].type.kind != CQL_UUID)
    return CQL_EMALFORMED;
  cql_cell_t cells[ROWS * 2];
  int count, error = 0;
  while (!error && (count = cql_result_cells(result, ROWS, cells)) > 0)
    for (int i = 0; i < count && !error; i++) error = take_row(agreement, &cells[2 * i]);
  if (!error && count < 0) error = count;
  return error || agreement->has_version ? error : CQL_EMALFORMED;
}

static void ask(cql__agreement *agreement);

static void on_answer(void *owner, const cql_request_t *errand) {
  cql__agreement *agreement = owner;
  agreement->errand = NULL;
  if (errand->status || take_rows(agreement, errand->result)) {
    look_failed(agreement);
    return;
  }
  if (++agreement->step < STEPS) {
    ask(agreement);
    return;
  }
  if (!agreement->differ && agreement->change < agreement->look) {
    decide(agreement, 1);
    return;
  }
  agreement->seen |= agreement->differ;
  if (agreement->once)
    decide(agreement, 0);
  else
    look_later(agreement);
}

/* The connection by which the change came, while it serves; else another one of that node. */
static cql__channel *channel_of(cql__agreement *agreement) {
  cql__cluster *cluster = &agreement->request->engine->cluster;
  const cql_node_t *node = agreement->node;
  for (uint32_t i = 0; node && i < node->channel_count; i++) {
    cql__channel *channel = node->channels[i];
    if (&channel->connection == agreement->connection &&
        cql__connection_accepts(&channel->connection))
      return channel;
  }
  const cql__wish wish = {.node = node, .shard = -1, .farthest = CQL_DISTANCE_REMOTE};
  cql__channel *channel = cql__cluster_choose(cluster, &wish);
  if (channel && !node) agreement->node = cql_node_ref(channel->node);
  return channel;
}

static void ask(cql__agreement *agreement) {
  cql__engine *engine = agreement->request->engine;
  const char *text = questions[agreement->step];
  cql__channel *channel = engine->closing ? NULL : channel_of(agreement);
  uint64_t now = now_of(engine), left = agreement->limit > now ? agreement->limit - now : 1;
  if (channel)
    agreement->errand =
        cql__errand_take(engine, CQL__QUERY, text, strlen(text), on_answer, agreement);
  if (!agreement->errand) {
    look_failed(agreement);
    return;
  }
  cql__timer_set(&engine->wheel, &agreement->timer, agreement->limit);
  cql__errand_send(agreement->errand, channel, left < LOOK_MS ? (uint32_t)left : LOOK_MS);
}

static void look(cql__agreement *agreement) {
  agreement->step = LOCAL;
  agreement->look = ++agreement->request->engine->changes;
  agreement->has_version = agreement->differ = 0;
  ask(agreement);
}

static void on_timer(cql__timer *timer) {
  cql__agreement *agreement = cql__container(timer, cql__agreement, timer);
  if (now_of(agreement->request->engine) >= agreement->limit)
    decide(agreement, 0);
  else
    look(agreement);
}

/* ---- waiting ---- */

static cql__agreement *new_agreement(cql_request_t *request, uint32_t timeout_ms) {
  cql__engine *engine = request->engine;
  cql__agreement *agreement = cql__zalloc(sizeof *agreement);
  if (!agreement) return NULL;
  agreement->request = request;
  agreement->limit = now_of(engine) + timeout_ms;
  cql__timer_init(&agreement->timer, on_timer);
  cql__list_append(&engine->agreements, &agreement->link);
  request->owner = agreement;
  request->state = CQL__REQUEST_AGREEING;
  return agreement;
}

int cql__agreement_begin(cql_request_t *request, const cql__connection *connection,
                         cql_result_t *result) {
  cql__engine *engine = request->engine;
  if (engine->agreement_ms == 0 || engine->closing || request->errand ||
      (request->options & CQL_OPTION_NO_AGREEMENT))
    return 0;
  request->schema_agreed = 0; /* also without memory to wait with */
  cql__agreement *agreement = new_agreement(request, engine->agreement_ms);
  if (!agreement) return 0;
  agreement->connection = connection;
  agreement->node = cql_node_ref(cql__channel_node(connection));
  request->result = result;
  look(agreement);
  return 1;
}

static int release(cql_request_t *request) {
  request->engine->errands--;
  cql__request_release(request);
  return 1;
}

/* Changes come as several events: the first look is a little later, and sees them all. */
void cql__agreement_watch(cql__engine *engine) {
  if (engine->agreement_ms == 0 || engine->closing) return;
  uint64_t change = ++engine->changes;
  for (cql__list *at = engine->agreements.next; at != &engine->agreements; at = at->next) {
    cql__agreement *other = cql__container(at, cql__agreement, link);
    if (!is_watch(other)) continue;
    other->change = change;
    return;
  }
  cql_request_t *request = cql__request_take(engine);
  if (!request) return;
  cql__agreement *agreement = new_agreement(request, engine->agreement_ms);
  if (!agreement) {
    cql__request_release(request);
    return;
  }
  request->errand = 1;
  request->on_done = release;
  engine->errands++;
  agreement->change = change;
  look_later(agreement);
}

int cql__agreement_ask(cql_request_t *request, uint32_t timeout_ms) {
  cql__engine *engine = request->engine;
  cql__agreement *agreement =
      new_agreement(request, timeout_ms ? timeout_ms : engine->request_timeout_ms);
  if (!agreement) return CQL_ENOMEM;
  agreement->once = timeout_ms == 0;
  cql__timer_set(&engine->wheel, &agreement->timer, now_of(engine));
  return 0;
}
