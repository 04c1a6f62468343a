/* What a session shows of itself: numbers for programs, text for people. */
#include <stdarg.h>
#include <stdio.h>

#include "session/session.h"

static void count_orphans(cql__channel *channel, void *user) {
  *(uint32_t *)user += cql__streams_orphans(&channel->connection.streams);
}

void cql__session_metrics(const cql_session_t *session, cql_metrics_t *out) {
  const cql__cluster *cluster = &session->engine.cluster;
  *out = session->engine.metrics;
  out->events_dropped = session->queue.dropped;
  out->own = session->engine.errands;
  out->taken -= out->own;
  out->connections = cluster->serving_count;
  out->protocol_version = session->ready_told ? (uint32_t)session->engine.settings.version : 0;
  out->orphans = 0;
  cql__cluster_each(cluster, count_orphans, &out->orphans);
}

typedef struct text {
  char *out;
  size_t size, used;
} text;

__attribute__((format(printf, 2, 3))) static void say(text *t, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  size_t room = t->used < t->size ? t->size - t->used : 0;
  int length = vsnprintf(room ? t->out + t->used : NULL, room, format, arguments);
  va_end(arguments);
  if (length > 0) t->used += (size_t)length;
}

static void say_channel(cql__channel *channel, void *user) {
  text *t = user;
  static const char *const names[] = {"closed",         "opening", "options", "startup",
                                      "authenticating", "cluster", "use",     "serving"};
  const cql__connection *c = &channel->connection;
  say(t, "    connection %s%s%s", names[c->state], c->retiring ? ", retiring" : "",
      channel->surplus ? ", surplus" : "");
  if (channel->node->cluster->elsewhere && c->state != CQL__CLOSED) {
    char address[CQL__ADDRESS_TEXT];
    cql__address_to_text(&c->address, address);
    say(t, ", at %s", address);
  }
  if (c->features.shard_told >= 0) say(t, ", shard %d", c->features.shard_told);
  if (c->state == CQL__SERVING)
    say(t, " v%d%s: %u in flight, %u orphans, %zu bytes unsent%s", c->version,
        c->writer.lz4 ? " lz4" : "", (unsigned)cql__streams_live(&c->streams),
        (unsigned)cql__streams_orphans(&c->streams), cql__writer_unsent(&c->writer),
        c->blocked ? " (socket full)" : "");
  else if (c->why[0])
    say(t, ", %u failures, the last: %s", (unsigned)channel->failures, c->why);
  say(t, "\n");
}

static void say_node(const cql_node_t *node, text *t) {
  const cql__name *datacenter = node->data.datacenter, *rack = node->data.rack;
  say(t, "  node %s%s%s%s%s: %s\n", node->text, datacenter ? " in " : "",
      datacenter ? datacenter->text : "", datacenter && rack ? ", " : "",
      datacenter && rack ? rack->text : "", cql__distance_name(node->distance));
  cql__node_each(node, say_channel, t);
}

int cql__session_dump(const cql_session_t *session, char *out, size_t size) {
  text t = {out, size, 0};
  const cql__engine *engine = &session->engine;
  const cql__cluster *cluster = &engine->cluster;
  if (size) out[0] = 0;
  say(&t, "session: %s, protocol v%d, keyspace %s\n",
      session->failed       ? "failed"
      : engine->closing     ? "closing"
      : session->ready_told ? "ready"
                            : "connecting",
      engine->settings.version, engine->settings.keyspace ? engine->settings.keyspace : "(none)");
  say(&t, "  requests: %llu submitted, %llu completed, %u in flight, %u queued, %u slots taken\n",
      (unsigned long long)engine->metrics.requests, (unsigned long long)engine->metrics.completed,
      (unsigned)engine->metrics.in_flight, (unsigned)engine->metrics.queued,
      (unsigned)engine->metrics.taken);
  say(&t, "  memory: %u slots, %zu blocks out, %zu bytes of large blocks idle\n",
      (unsigned)engine->slot_count, engine->pool->live, engine->pool->idle_large);
  for (uint32_t i = 0; i < cluster->node_count; i++) say_node(cluster->nodes[i], &t);
  return (int)t.used;
}
