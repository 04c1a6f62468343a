#include "sim/dispatch.h"

#include "sim/world.h"
#include "wire/proto.h"

/* An answer that takes its time. */
typedef struct reply {
  cql__list link; /* in client->replies */
  cql__sim_timer timer;
  cql__sim_client *client;
  cql__sim_answer answer;
  int version, stream;
  int sent; /* it waits to close */
} reply;

static void free_reply(reply *r) {
  cql__sim_timer_cancel(&r->client->node->sim->clock, &r->timer);
  cql__list_remove(&r->link);
  cql__sim_answer_free(&r->answer);
  cql__sim_release(r);
}

void cql__sim_replies_drop(cql__sim_client *client) {
  client->node->counters.in_flight -= client->in_flight;
  client->in_flight = 0;
  while (!cql__list_empty(&client->replies))
    free_reply(cql__container(client->replies.next, reply, link));
}

/* ---- streams ---- */

static int take_stream(cql__sim_client *client, int stream) {
  if (stream < 0) return 0;
  if (!client->streams) client->streams = cql__sim_alloc(CQL__STREAM_COUNT / 8);
  uint8_t *byte = &client->streams[stream / 8], bit = (uint8_t)(1 << stream % 8);
  client->in_flight++;
  client->node->counters.in_flight++;
  if (*byte & bit) return CQL_SIM_BAD_STREAM;
  *byte |= bit;
  return 0;
}

static void give_stream(cql__sim_client *client, int stream) {
  if (stream < 0 || !client->streams) return;
  client->streams[stream / 8] &= (uint8_t) ~(1 << stream % 8);
  if (client->in_flight) {
    client->in_flight--;
    client->node->counters.in_flight--;
  }
}

/* ---- sending ---- */

static void count(cql__sim_node *node, const cql__sim_answer *answer) {
  node->counters.answers++;
  if (answer->opcode == CQL__ERROR) node->counters.errors++;
  if (answer->error == CQL__ERROR_UNPREPARED) node->counters.unprepared++;
}

static void send_once(cql__sim_client *client, const cql__sim_answer *answer, int version,
                      int stream) {
  cql__sim_buffer body = {0};
  int flags = cql__sim_answer_body(answer, version, &body);
  if (answer->flip >= 0 && (size_t)answer->flip < cql__sim_size(&body))
    body.data[answer->flip] ^= 0xFF;
  uint8_t header[CQL__HEADER_SIZE] = {(uint8_t)(0x80 | version), (uint8_t)flags,
                                      (uint8_t)(stream >> 8), (uint8_t)stream,
                                      (uint8_t)answer->opcode};
  cql__sim_trace_message(client->node->sim, client->node->text, client->id, 1, header,
                         cql__sim_bytes(&body), cql__sim_size(&body));
  if (answer->keep >= 0 || answer->corrupt) cql__sim_client_flush(client);
  cql__sim_client_envelope(client, version, flags, stream, answer->opcode, cql__sim_slice(&body));
  if (answer->keep >= 0 && (size_t)answer->keep < cql__sim_size(&client->gathered))
    client->gathered.end = client->gathered.start + (size_t)answer->keep;
  if (answer->corrupt) cql__sim_client_corrupt(client, answer->corrupt == 2);
  cql__sim_buffer_free(&body);
  count(client->node, answer);
}

/* The end of the handshake's first part: from here on segments and compression. */
static void switch_framing(cql__sim_client *client) {
  cql__sim_client_flush(client);
  client->framed = client->version >= 5;
  client->lz4 = client->compresses;
}

static void deliver(cql__sim_client *client, const cql__sim_answer *answer, int version,
                    int stream) {
  give_stream(client, stream);
  if (answer->raw.length >= 0) {
    cql__sim_client_say(client, answer->raw.data, (size_t)answer->raw.length);
  } else if (!answer->silent) {
    int to = answer->stream >= 0 ? answer->stream : stream;
    send_once(client, answer, version, to);
    if (answer->twice) send_once(client, answer, version, to);
  }
  if (answer->switches) switch_framing(client);
}

static void on_reply(cql__sim_timer *timer) {
  reply *r = cql__container(timer, reply, timer);
  cql__sim_client *client = r->client;
  cql_sim_t *sim = client->node->sim;
  if (!cql__sim_node_reads(client->node)) { /* it stands still: later */
    cql__sim_timer_set(&sim->clock, &r->timer, sim->clock.now + 1000);
    return;
  }
  client->busy++;
  if (!r->sent) deliver(client, &r->answer, r->version, r->stream);
  int close = r->answer.close;
  if (!r->sent && close && r->answer.close_delay) {
    r->sent = 1;
    cql__sim_client_flush(client);
    cql__sim_timer_set(&sim->clock, &r->timer, sim->clock.now + r->answer.close_delay);
    client->busy--;
    return;
  }
  free_reply(r);
  cql__sim_client_flush(client);
  if (close) cql__sim_client_end(client, close - 1);
  client->busy--;
  cql__sim_client_resume(client); /* which frees it, if it has ended */
}

/* Now, or when it is due. Takes the answer over. */
static void answer_request(cql__sim_client *client, const cql__sim_request *request,
                           cql__sim_answer *answer) {
  cql_sim_t *sim = client->node->sim;
  int64_t delay = answer->delay + cql__sim_draw(sim, &client->node->settings.service);
  int version = client->version ? client->version : request->version;
  if (delay == 0 && !answer->close) {
    deliver(client, answer, version, request->stream);
    cql__sim_answer_free(answer);
    return;
  }
  reply *r = cql__sim_alloc(sizeof *r);
  r->client = client;
  r->answer = *answer;
  r->version = version;
  r->stream = request->stream;
  r->timer.fire = on_reply;
  cql__list_append(&client->replies, &r->link);
  cql__sim_timer_set(&sim->clock, &r->timer, sim->clock.now + delay);
}

/* ---- judging ---- */

static void count_request(cql__sim_node *node, const cql__sim_request *request) {
  cql_sim_counters_t *c = &node->counters;
  c->requests++;
  c->queries += request->opcode == CQL__QUERY;
  c->prepares += request->opcode == CQL__PREPARE;
  c->executes += request->opcode == CQL__EXECUTE;
  c->batches += request->opcode == CQL__BATCH;
}

static void count_verdict(cql__sim_node *node, int verdict) {
  cql_sim_counters_t *c = &node->counters;
  c->wrong_shard += (verdict & CQL_SIM_WRONG_SHARD) != 0;
  c->not_replica += (verdict & CQL_SIM_NOT_REPLICA) != 0;
  c->unknown_id += (verdict & CQL_SIM_UNKNOWN_ID) != 0;
  c->bad_frames += (verdict & CQL_SIM_BAD_FRAME) != 0;
  c->bad_streams += (verdict & CQL_SIM_BAD_STREAM) != 0;
  c->not_ready += (verdict & CQL_SIM_NOT_READY) != 0;
}

static void write_entry(cql__sim_client *client, cql__sim_request *request) {
  cql_sim_asked_t asked = {.at_us = client->node->sim->clock.now,
                           .node = client->node->index,
                           .shard = client->shard,
                           .connection = client->id,
                           .place = client->place,
                           .stream = request->stream,
                           .opcode = request->opcode,
                           .consistency = request->consistency,
                           .version = request->version,
                           .rule = -1,
                           .error = -1,
                           .page_size = request->page_size,
                           .value_count = (int32_t)request->value_count,
                           .statements = request->opcode == CQL__BATCH
                                             ? (int32_t)request->item_count
                                         : request->text.length >= 0 ? 1
                                                                     : 0,
                           .text = request->text,
                           .keyspace = cql__sim_slice_of(client->keyspace)};
  request->entry = cql__sim_journal_add(&client->node->sim->journal, &asked);
}

static void close_entry(cql__sim_client *client, const cql__sim_request *request,
                        const cql__sim_rule *rule, const cql__sim_answer *answer) {
  cql_sim_asked_t *entry = cql__sim_journal_at(&client->node->sim->journal, request->entry);
  entry->verdict = request->verdict;
  entry->rule = rule ? rule->id : -1;
  entry->error = answer->opcode == CQL__ERROR ? answer->error : -1;
  count_verdict(client->node, request->verdict);
  if (rule) client->node->counters.primed++;
  if (request->verdict)
    cql__sim_trace_line(client->node->sim, "%s.c%d judges: 0x%x", client->node->text, client->id,
                        (unsigned)request->verdict);
}

/* ---- one request ---- */

static int is_handshake(int opcode) {
  return opcode == CQL__OPTIONS || opcode == CQL__STARTUP || opcode == CQL__AUTH_RESPONSE ||
         opcode == CQL__REGISTER;
}

static void node_answers(cql__sim_client *client, cql__sim_request *request, int broken,
                         cql__sim_answer *answer) {
  int opcode = request->opcode;
  int known = is_handshake(opcode) || opcode == CQL__QUERY || opcode == CQL__PREPARE ||
              opcode == CQL__EXECUTE || opcode == CQL__BATCH;
  if (broken || !known) {
    request->verdict |= CQL_SIM_BAD_FRAME;
    cql__sim_answer_fail(answer, CQL__ERROR_PROTOCOL,
                         broken ? "the body ends before its fields do" : "unknown opcode");
  } else if (client->version && request->version != client->version) {
    request->verdict |= CQL_SIM_BAD_FRAME;
    cql__sim_answer_fail(answer, CQL__ERROR_PROTOCOL, "Invalid message version");
  } else if (is_handshake(opcode)) {
    cql__sim_handshake(client, request, answer);
  } else if (client->state != CQL__SIM_READY) {
    request->verdict |= CQL_SIM_NOT_READY;
    cql__sim_answer_fail(answer, CQL__ERROR_PROTOCOL, "Unexpected message, expecting STARTUP");
  } else {
    cql__sim_execute(client, request, answer);
  }
}

void cql__sim_dispatch(cql__sim_client *client, const uint8_t *header, const uint8_t *body,
                       size_t size) {
  cql__sim_node *node = client->node;
  cql_sim_t *sim = node->sim;
  cql__sim_trace_message(sim, node->text, client->id, 0, header, body, size);
  if (cql__sim_refuse_version(client, header)) return;
  cql__sim_request request;
  cql__sim_answer answer;
  int broken = cql__sim_request_read(&request, client, header, body, size);
  cql__sim_answer_init(&answer);
  request.verdict = take_stream(client, request.stream);
  if (request.opcode == CQL__EXECUTE) request.prepared = cql__sim_prepared_find(node, request.id);
  if (request.prepared) request.text = cql__sim_slice_of(request.prepared->text);
  count_request(node, &request);
  write_entry(client, &request);
  cql__sim_rule *rule = broken ? NULL : cql__sim_rule_find(sim, client, &request);
  if (!rule || !cql__sim_rule_answer(sim, rule, client, &request, &answer))
    node_answers(client, &request, broken, &answer);
  if (request.flags & CQL__FLAG_TRACING && !is_handshake(request.opcode)) {
    answer.traced = 1;
    cql__sim_uuid(sim, answer.tracing_id);
  }
  if (rule) cql__sim_rule_spoil(sim, rule, &answer);
  close_entry(client, &request, rule, &answer);
  answer_request(client, &request, &answer);
  cql__sim_request_free(&request);
}
