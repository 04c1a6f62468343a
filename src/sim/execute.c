/* QUERY, PREPARE, EXECUTE and BATCH: who may answer, and what the store makes of it. */
#include "sim/dispatch.h"
#include "sim/system.h"
#include "sim/world.h"
#include "wire/proto.h"

enum { TRUNCATE_ERROR = 0x1003 };

/* ---- prepared statements ---- */

void cql__sim_prepared_drop(cql__sim_node *node, cql__sim_prepared *prepared) {
  cql__list_remove(&prepared->link);
  node->prepared_count--;
  cql__statement_free(prepared->statement);
  cql__sim_release(prepared->text);
  cql__sim_release(prepared->keyspace);
  cql__sim_release(prepared);
}

cql__sim_prepared *cql__sim_prepared_find(cql__sim_node *node, cql_slice_t id) {
  if (id.length != 16) return NULL;
  for (cql__list *l = node->prepared.previous; l != &node->prepared; l = l->previous) {
    cql__sim_prepared *prepared = cql__container(l, cql__sim_prepared, link);
    if (memcmp(prepared->id, id.data, 16) != 0) continue;
    cql__list_remove(l);
    cql__list_append(&node->prepared, l);
    return prepared;
  }
  return NULL;
}

void cql__sim_prepared_forget(cql__sim_node *node, const char *text) {
  cql__list *next;
  for (cql__list *l = node->prepared.next; l != &node->prepared; l = next) {
    next = l->next;
    cql__sim_prepared *prepared = cql__container(l, cql__sim_prepared, link);
    if (!text || strcmp(text, prepared->text) == 0) cql__sim_prepared_drop(node, prepared);
  }
}

/* Its id depends on the keyspace that it was prepared in, as with real servers. */
static cql__sim_prepared *keep_prepared(cql__sim_node *node, cql_slice_t keyspace, cql_slice_t text,
                                        cql__statement *statement,
                                        const cql__statement_shape *shape) {
  cql__sim_buffer whole = {0};
  if (keyspace.length > 0) cql__sim_put(&whole, keyspace.data, (size_t)keyspace.length);
  cql__sim_put(&whole, text.data, (size_t)text.length);
  uint8_t id[16];
  cql__sim_md5(cql__sim_bytes(&whole), cql__sim_size(&whole), id);
  cql__sim_buffer_free(&whole);
  cql__sim_prepared *prepared = cql__sim_prepared_find(node, (cql_slice_t){id, 16});
  if (prepared) cql__sim_prepared_drop(node, prepared);
  while (node->prepared_count && node->prepared_count >= node->settings.prepared_max)
    cql__sim_prepared_drop(node, cql__container(node->prepared.next, cql__sim_prepared, link));
  prepared = cql__sim_alloc(sizeof *prepared);
  memcpy(prepared->id, id, 16);
  prepared->text = cql__sim_text(text.data, (size_t)text.length);
  if (keyspace.length >= 0)
    prepared->keyspace = cql__sim_text(keyspace.data, (size_t)keyspace.length);
  prepared->statement = statement;
  cql__sim_metadata_id(shape->columns, shape->column_count, prepared->metadata_id);
  cql__list_append(&node->prepared, &prepared->link);
  node->prepared_count++;
  return prepared;
}

static int has_metadata_ids(const cql__sim_client *client) {
  return client->version >= 5 || client->extensions & CQL__SIM_METADATA_ID;
}

static void put_prepared(const cql__sim_client *client, const cql__sim_prepared *prepared,
                         const cql__statement_shape *shape, cql__sim_buffer *b) {
  int version = client->version, scylla = cql__sim_is_scylla(client->node);
  int global = cql__sim_is_global(shape->binds, shape->bind_count);
  uint32_t mark = shape->conditional && client->extensions & CQL__SIM_LWT_MARK ? 0x80000000u : 0;
  cql__sim_put_u32(b, CQL_RESULT_PREPARED);
  cql__sim_put_short_bytes(b, (cql_slice_t){prepared->id, 16});
  if (has_metadata_ids(client))
    cql__sim_put_short_bytes(b, (cql_slice_t){prepared->metadata_id, 16});
  cql__sim_put_u32(b, (global ? CQL__ROWS_GLOBAL : 0) | mark);
  cql__sim_put_u32(b, shape->bind_count);
  if (version >= 4) {
    cql__sim_put_u32(b, shape->key_count);
    for (uint32_t i = 0; i < shape->key_count; i++) cql__sim_put_u16(b, shape->key_indexes[i]);
  }
  cql__sim_put_columns(b, shape->binds, shape->bind_count, global, version, scylla);
  global = cql__sim_is_global(shape->columns, shape->column_count);
  cql__sim_put_u32(b,
                   shape->column_count ? (global ? CQL__ROWS_GLOBAL : 0) : CQL__ROWS_NO_METADATA);
  cql__sim_put_u32(b, shape->column_count);
  cql__sim_put_columns(b, shape->columns, shape->column_count, global, version, scylla);
}

/* ---- who may answer ---- */

typedef struct replicas {
  cql__sim_replica list[CQL__SIM_REPLICAS_MAX];
  int count;
} replicas;

typedef struct tally {
  int required, alive, reachable;
} tally;

static int is_reachable(const cql__sim_node *node, const cql__sim_node *other) {
  return other == node || (other->state == CQL_SIM_UP && !other->vanished &&
                           !cql__sim_is_cut(node->sim, node->index, other->index));
}

/* Counts those that `datacenter` (NULL: any) has. */
static tally count_replicas(const cql__sim_node *node, const replicas *r, int consistency,
                            const char *datacenter) {
  tally t = {0, 0, 0};
  int factor = 0;
  for (int i = 0; i < r->count; i++) {
    const cql__sim_node *other = node->sim->nodes[r->list[i].node];
    if (datacenter && strcmp(datacenter, other->datacenter) != 0) continue;
    factor++;
    t.alive += cql__sim_sees_up(node, other);
    t.reachable += is_reachable(node, other);
  }
  t.required = cql__sim_required(consistency, factor);
  return t;
}

static int is_local(int consistency) {
  return consistency == CQL_LOCAL_ONE || consistency == CQL_LOCAL_QUORUM ||
         consistency == CQL_LOCAL_SERIAL;
}

/* EACH_QUORUM: the worst of the datacenters. */
static tally count_each(const cql__sim_node *node, const replicas *r) {
  tally worst = {0, 0, 0};
  for (int i = 0; i < r->count; i++) {
    const cql__sim_node *other = node->sim->nodes[r->list[i].node];
    tally t = count_replicas(node, r, CQL_QUORUM, other->datacenter);
    if (i == 0 || t.reachable - t.required < worst.reachable - worst.required) worst = t;
  }
  return worst;
}

/* 1: it has been answered with UNAVAILABLE or a time-out; *applied: a write happens all the same.
 */
static int is_refused(const cql__sim_client *client, const cql__sim_request *request,
                      const cql__statement_shape *shape, const replicas *r, int write,
                      cql__sim_answer *answer, int *applied) {
  const cql__sim_node *node = client->node;
  int consistency = request->consistency;
  if (shape->conditional) consistency = request->serial >= 0 ? request->serial : CQL_SERIAL;
  if (write && consistency == CQL_ANY) return 0;
  const char *datacenter = is_local(consistency) ? node->datacenter : NULL;
  tally t = consistency == CQL_EACH_QUORUM ? count_each(node, r)
                                           : count_replicas(node, r, consistency, datacenter);
  cql__sim_error error = {.consistency = consistency, .required = t.required};
  int scylla = cql__sim_is_scylla(node);
  if (t.alive < t.required) {
    error.code = 0x1000;
    error.received = t.alive;
    cql__sim_answer_error(answer, &error, request->version, scylla);
    return 1;
  }
  if (t.reachable >= t.required) return 0;
  error.code = write ? 0x1100 : 0x1200;
  error.received = t.reachable;
  error.data_present = t.reachable > 0;
  error.write_type = shape->conditional              ? "CAS"
                     : shape->counter                ? "COUNTER"
                     : request->opcode == CQL__BATCH ? "BATCH"
                                                     : "SIMPLE";
  const cql__sim_settings *settings = &node->sim->settings;
  answer->delay =
      cql__sim_draw(node->sim, write ? &settings->write_timeout : &settings->read_timeout);
  *applied = write && t.reachable > 0 && !shape->conditional;
  cql__sim_answer_error(answer, &error, request->version, scylla);
  return 1;
}

/* ---- judging, and tablets ---- */

static void judge(const cql__sim_client *client, cql__sim_request *request, const replicas *r) {
  int owns = 0, shard_owns = 0;
  for (int i = 0; i < r->count; i++) {
    if (r->list[i].node != client->node->index) continue;
    owns = 1;
    shard_owns = r->list[i].shard == client->shard;
  }
  if (!r->count || request->opcode != CQL__EXECUTE) return;
  if (!owns) request->verdict |= CQL_SIM_NOT_REPLICA;
  if (owns && !shard_owns && cql__sim_is_scylla(client->node))
    request->verdict |= CQL_SIM_WRONG_SHARD;
}

static void put_int_value(cql__sim_buffer *b, int64_t number, unsigned size) {
  cql__sim_put_u32(b, size);
  if (size == 8)
    cql__sim_put_u64(b, (uint64_t)number);
  else
    cql__sim_put_u32(b, (uint32_t)number);
}

/* tablets-routing-v1: tuple<bigint, bigint, list<tuple<uuid, int>>>, without a length. */
static void put_tablet(const cql__sim_client *client, const cql__sim_tablet *tablet, int64_t first,
                       cql__sim_answer *answer) {
  const cql_sim_t *sim = client->node->sim;
  cql__sim_buffer value = {0}, list = {0};
  put_int_value(&value, first, 8);
  put_int_value(&value, tablet->last, 8);
  cql__sim_put_u32(&list, tablet->count);
  for (uint32_t i = 0; i < tablet->count; i++) {
    cql__sim_put_u32(&list, 28);
    cql__sim_put_bytes(&list, (cql_slice_t){sim->nodes[tablet->replicas[i].node]->host_id, 16});
    put_int_value(&list, tablet->replicas[i].shard, 4);
  }
  cql__sim_put_bytes(&value, cql__sim_slice(&list));
  cql__sim_put_string(&answer->payload, "tablets-routing-v1");
  cql__sim_put_bytes(&answer->payload, cql__sim_slice(&value));
  answer->payload_count++;
  client->node->counters.payloads++;
  cql__sim_buffer_free(&value);
  cql__sim_buffer_free(&list);
}

/* Where the key lives. 1: known; a tablet's payload is put where the client should learn it. */
static int locate(cql__sim_client *client, cql__sim_request *request,
                  const cql__statement_shape *shape, int64_t token, replicas *r,
                  cql__sim_answer *answer) {
  cql_sim_t *sim = client->node->sim;
  const cql__sim_tablet *tablet;
  int64_t first;
  r->count =
      cql__sim_replicas_of(sim, shape->keyspace, shape->table, token, r->list, &tablet, &first);
  if (r->count < 0) return 0;
  cql_sim_asked_t *entry = cql__sim_journal_at(&sim->journal, request->entry);
  entry->token = token;
  entry->has_token = 1;
  judge(client, request, r);
  int here = 0;
  for (int i = 0; i < r->count; i++)
    here |= r->list[i].node == client->node->index && r->list[i].shard == client->shard;
  if (tablet && !here && client->extensions & CQL__SIM_TABLETS && shape->key_count &&
      request->opcode != CQL__BATCH)
    put_tablet(client, tablet, first, answer);
  return 1;
}

/* ---- execution ---- */

static void fill_call(const cql__sim_client *client, const cql__sim_request *request,
                      cql__store_call *call) {
  cql__store_call_init(call);
  call->keyspace =
      request->keyspace.length >= 0 ? request->keyspace : cql__sim_slice_of(client->keyspace);
  call->value_count = request->value_count;
  call->values = request->values;
  call->names = request->names;
  call->page_size = request->page_size > 0 ? request->page_size : 0;
  call->paging_state = request->paging_state;
  call->timestamp = request->timestamp;
  call->now_us = cql__sim_timestamp(client->node->sim);
  call->now_in_seconds = request->now_in_seconds;
}

/* Only what reads these needs to know the cluster. */
static int is_of_system(const cql__statement_shape *shape) {
  return shape->keyspace.length >= 6 && memcmp(shape->keyspace.data, "system", 6) == 0;
}

/* What a result changes beside its rows. */
static void take_effect(cql__sim_client *client, const cql__store_result *result) {
  if (result->kind == CQL_RESULT_KEYSPACE) {
    cql__sim_release(client->keyspace);
    client->keyspace = cql__sim_text(result->keyspace.data, (size_t)result->keyspace.length);
  }
  if (result->kind == CQL_RESULT_SCHEMA_CHANGE)
    cql__sim_schema_changed(client->node, &result->change);
}

static void answer_with(cql__sim_client *client, const cql__sim_request *request,
                        const cql__statement_shape *shape, const cql__store_result *result,
                        cql__sim_answer *answer) {
  cql__sim_rows_options options = {request->version, cql__sim_is_scylla(client->node), 0, NULL};
  const cql__sim_prepared *prepared = request->prepared;
  if (request->parameters & CQL__QUERY_SKIP_METADATA && request->opcode == CQL__EXECUTE)
    options.no_metadata = !shape || !shape->conditional;
  if (prepared && has_metadata_ids(client) && shape && shape->column_count &&
      (request->metadata_id.length != 16 ||
       memcmp(request->metadata_id.data, prepared->metadata_id, 16) != 0))
    options.changed_id = prepared->metadata_id;
  cql__sim_answer_result(answer, result, &options);
  take_effect(client, result);
}

static int all_are_well(const cql__sim_node *node) {
  const cql_sim_t *sim = node->sim;
  for (size_t i = 0; i < sim->node_count; i++) {
    const cql__sim_node *other = sim->nodes[i];
    if (other->member && (other->state != CQL_SIM_UP || !cql__sim_sees_up(node, other))) return 0;
  }
  return sim->cut_count == 0;
}

/* Rows of many partitions: each range of the ring must have enough replicas. */
static int scan_is_refused(const cql__sim_client *client, const cql__sim_request *request,
                           const cql__statement_shape *shape, cql__sim_answer *answer) {
  cql_sim_t *sim = client->node->sim;
  int64_t token;
  int applied;
  replicas r;
  if (shape->kind != CQL__STATEMENT_READ || all_are_well(client->node)) return 0;
  for (size_t i = 0; cql__sim_ring_point(sim, i, &token); i++) {
    r.count = cql__sim_replicas_of(sim, shape->keyspace, shape->table, token, r.list, NULL, NULL);
    if (r.count < 0) return 0;
    if (is_refused(client, request, shape, &r, 0, answer, &applied)) return 1;
  }
  return 0;
}

/* TRUNCATE asks every member, whoever has the rows. 1: it has been answered; *applied: those that
 * could be reached have done it all the same. */
static int truncate_is_refused(const cql__sim_node *node, cql__sim_answer *answer, int *applied) {
  static const char down[] = "Error during truncate: Cannot achieve consistency level ALL";
  static const char late[] = "Error during truncate: Truncate timed out";
  const cql_sim_t *sim = node->sim;
  const char *why = NULL;
  for (size_t i = 0; i < sim->node_count && why != down; i++) {
    const cql__sim_node *other = sim->nodes[i];
    if (!other->member) continue;
    if (!cql__sim_sees_up(node, other))
      why = down;
    else if (!is_reachable(node, other))
      why = late;
  }
  if (!why) return 0;
  *applied = why == late;
  if (*applied) answer->delay = cql__sim_draw(node->sim, &sim->settings.truncate_timeout);
  cql__sim_answer_fail(answer, TRUNCATE_ERROR, why);
  return 1;
}

/* A statement that is known to be one. */
static void run(cql__sim_client *client, cql__sim_request *request, cql__statement *statement,
                cql__sim_answer *answer) {
  cql__store *store = cql__sim_store(client->node->sim);
  cql__store_call call;
  fill_call(client, request, &call);
  if (request->prepared && request->prepared->keyspace)
    call.keyspace = cql__sim_slice_of(request->prepared->keyspace);
  const cql__statement_shape *shape = cql__statement_shape_of(store, statement);
  if (shape && is_of_system(shape)) call.system = cql__sim_system_of(client->node);
  int64_t token;
  replicas r = {.count = 0};
  int applied = 0;
  int has_token = shape && cql__statement_token(store, statement, &call, &token);
  if (shape && !has_token && scan_is_refused(client, request, shape, answer)) return;
  if (shape && shape->kind == CQL__STATEMENT_TRUNCATE &&
      truncate_is_refused(client->node, answer, &applied)) {
    if (applied) cql__store_result_free(cql__store_execute(store, statement, &call));
    return;
  }
  if (has_token && locate(client, request, shape, token, &r, answer)) {
    int write = shape->kind == CQL__STATEMENT_WRITE;
    if (is_refused(client, request, shape, &r, write, answer, &applied)) {
      if (applied) cql__store_result_free(cql__store_execute(store, statement, &call));
      return;
    }
  }
  cql__store_result *result = cql__store_execute(store, statement, &call);
  answer_with(client, request, shape, result, answer);
  cql__store_result_free(result);
}

static void query(cql__sim_client *client, cql__sim_request *request, cql__sim_answer *answer) {
  cql__store *store = cql__sim_store(client->node->sim);
  cql_slice_t keyspace =
      request->keyspace.length >= 0 ? request->keyspace : cql__sim_slice_of(client->keyspace);
  cql__store_result *error = NULL;
  cql__statement *statement = cql__store_prepare(store, keyspace, request->text, &error);
  if (statement)
    run(client, request, statement, answer);
  else
    answer_with(client, request, NULL, error, answer);
  cql__store_result_free(error);
  cql__statement_free(statement);
}

static void prepare(cql__sim_client *client, cql__sim_request *request, cql__sim_answer *answer) {
  cql__store *store = cql__sim_store(client->node->sim);
  cql_slice_t keyspace =
      request->keyspace.length >= 0 ? request->keyspace : cql__sim_slice_of(client->keyspace);
  cql__store_result *error = NULL;
  cql__statement *statement = cql__store_prepare(store, keyspace, request->text, &error);
  if (!statement) {
    answer_with(client, request, NULL, error, answer);
    cql__store_result_free(error);
    return;
  }
  const cql__statement_shape *shape = cql__statement_shape_of(store, statement);
  const cql__sim_prepared *kept =
      keep_prepared(client->node, keyspace, request->text, statement, shape);
  answer->opcode = CQL__RESULT;
  put_prepared(client, kept, shape, &answer->body);
}

static void unprepared(cql__sim_client *client, cql__sim_request *request, cql_slice_t id,
                       cql__sim_answer *answer) {
  cql__sim_error error = {.code = CQL__ERROR_UNPREPARED, .id = id};
  request->verdict |= CQL_SIM_UNKNOWN_ID;
  cql__sim_answer_error(answer, &error, request->version, cql__sim_is_scylla(client->node));
}

/* Where its first statement goes is where the batch goes. */
static int batch_is_refused(cql__sim_client *client, cql__sim_request *request,
                            const cql__store_item *items, cql__sim_answer *answer) {
  cql__store *store = cql__sim_store(client->node->sim);
  cql__store_call call;
  int64_t token;
  replicas r = {.count = 0};
  int applied = 0;
  if (!request->item_count || !items[0].statement) return 0;
  fill_call(client, request, &call);
  call.values = items[0].values;
  call.value_count = items[0].value_count;
  const cql__statement_shape *shape = cql__statement_shape_of(store, items[0].statement);
  return shape && cql__statement_token(store, items[0].statement, &call, &token) &&
         locate(client, request, shape, token, &r, answer) &&
         is_refused(client, request, shape, &r, 1, answer, &applied);
}

static void batch(cql__sim_client *client, cql__sim_request *request, cql__sim_answer *answer) {
  cql__store_item *items =
      cql__sim_region_take(&request->region, request->item_count * sizeof *items);
  for (uint32_t i = 0; i < request->item_count; i++) {
    const cql__sim_item *from = &request->items[i];
    items[i] = (cql__store_item){NULL, from->text, from->value_count, from->values};
    if (!from->prepared) continue;
    cql__sim_prepared *prepared = cql__sim_prepared_find(client->node, from->text);
    if (!prepared) {
      unprepared(client, request, from->text, answer);
      return;
    }
    items[i].statement = prepared->statement;
  }
  if (batch_is_refused(client, request, items, answer)) return;
  cql__store_call call;
  fill_call(client, request, &call);
  cql__store_result *result = cql__store_batch(
      cql__sim_store(client->node->sim), request->batch_type, items, request->item_count, &call);
  answer_with(client, request, NULL, result, answer);
  cql__store_result_free(result);
}

void cql__sim_execute(cql__sim_client *client, cql__sim_request *request, cql__sim_answer *answer) {
  switch (request->opcode) {
    case CQL__QUERY: query(client, request, answer); break;
    case CQL__PREPARE: prepare(client, request, answer); break;
    case CQL__EXECUTE:
      if (request->prepared)
        run(client, request, request->prepared->statement, answer);
      else
        unprepared(client, request, request->id, answer);
      break;
    default: batch(client, request, answer); break;
  }
}
