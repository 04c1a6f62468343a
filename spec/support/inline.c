#include "inline.h"

cql__block *cql__spec_block_take(cql__pool *pool, size_t capacity) {
  return cql__block_take(pool, capacity);
}

cql__block *cql__spec_block_ref(cql__block *block) { return cql__block_ref(block); }

void cql__spec_block_unref(cql__block *block) { cql__block_unref(block); }

int cql__spec_timer_is_set(const cql__timer *timer) { return cql__timer_is_set(timer); }

void cql__spec_timer_cancel(cql__timer *timer) { cql__timer_cancel(timer); }

uint32_t cql__spec_streams_live(const cql__streams *streams) { return cql__streams_live(streams); }

uint32_t cql__spec_streams_orphans(const cql__streams *streams) {
  return cql__streams_orphans(streams);
}

uint8_t *cql__spec_writer_reserve(cql__writer *writer, size_t size) {
  return cql__writer_reserve(writer, size);
}

size_t cql__spec_writer_unsent(const cql__writer *writer) { return cql__writer_unsent(writer); }

cql__link *cql__spec_session_link(const cql_session_t *session) { return session->engine.link; }

uint32_t cql__spec_shard_of(int64_t token, uint32_t count, unsigned ignore_msb) {
  return cql__shard_of(token, count, ignore_msb);
}

/* `user`: a node's number for each id that ends in these two bytes. */
uint16_t cql__spec_tablets_resolve(void *user, const uint8_t id[16]) {
  const uint16_t *nodes = user;
  return nodes[id[14] << 8 | id[15]];
}

uint16_t cql__spec_tablets_node(const cql__tablets *tablets, uint16_t host) {
  return cql__tablets_node(tablets, host);
}

/* `user`: how many calls there were, then the last byte of each host id. */
void cql__spec_route_changed(void *user, const uint8_t host_id[16]) {
  uint8_t *list = user;
  list[++list[0]] = host_id[15];
}
