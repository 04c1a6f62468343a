/* QUERY, PREPARE, EXECUTE and BATCH: where their rows live, and what the store makes of them. */
#include "sim/dispatch.h"
#include "sim/system.h"
#include "sim/world.h"
#include "wire/proto.h"

/* ---- judging, and tablets ---- */

static void judge(const cql__sim_client *client, cql__sim_request *request,
                  const cql__sim_replicas *r) {
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
                  const cql__statement_shape *shape, int64_t token, cql__sim_replicas *r,
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
  if (prepared && cql__sim_has_metadata_ids(client) && shape && shape->column_count &&
      (request->metadata_id.length != 16 ||
       memcmp(request->metadata_id.data, prepared->metadata_id, 16) != 0))
    options.changed_id = prepared->metadata_id;
  cql__sim_answer_result(answer, result, &options);
  take_effect(client, result);
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
  cql__sim_replicas r = {.count = 0};
  int applied = 0;
  int has_token = shape && cql__statement_token(store, statement, &call, &token);
  if (shape && !has_token && cql__sim_quorum_refuses_scan(client, request, shape, answer)) return;
  if (shape && shape->kind == CQL__STATEMENT_TRUNCATE &&
      cql__sim_quorum_refuses_truncate(client->node, answer, &applied)) {
    if (applied) cql__store_result_free(cql__store_execute(store, statement, &call));
    return;
  }
  if (has_token && locate(client, request, shape, token, &r, answer)) {
    int write = shape->kind == CQL__STATEMENT_WRITE;
    if (cql__sim_quorum_refuses(client, request, shape, &r, write, answer, &applied)) {
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
      cql__sim_prepared_keep(client->node, keyspace, request->text, statement, shape);
  answer->opcode = CQL__RESULT;
  cql__sim_prepared_put(client, kept, shape, &answer->body);
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
  cql__sim_replicas r = {.count = 0};
  int applied = 0;
  if (!request->item_count || !items[0].statement) return 0;
  fill_call(client, request, &call);
  call.values = items[0].values;
  call.value_count = items[0].value_count;
  const cql__statement_shape *shape = cql__statement_shape_of(store, items[0].statement);
  return shape && cql__statement_token(store, items[0].statement, &call, &token) &&
         locate(client, request, shape, token, &r, answer) &&
         cql__sim_quorum_refuses(client, request, shape, &r, 1, answer, &applied);
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
