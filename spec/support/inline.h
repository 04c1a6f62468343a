/* The inline functions of the core under names of their own, for specs that call them by FFI. */
#ifndef CQL_SPEC_INLINE_H
#define CQL_SPEC_INLINE_H

#include "base/block.h"
#include "base/wheel.h"
#include "cluster/client_routes.h"
#include "cluster/shard.h"
#include "cluster/tablets.h"
#include "connection/streams.h"
#include "connection/writer.h"
#include "session/session.h"

cql__block *cql__spec_block_take(cql__pool *pool, size_t capacity);
cql__block *cql__spec_block_ref(cql__block *block);
void cql__spec_block_unref(cql__block *block);
int cql__spec_timer_is_set(const cql__timer *timer);
void cql__spec_timer_cancel(cql__timer *timer);
uint32_t cql__spec_streams_live(const cql__streams *streams);
uint32_t cql__spec_streams_orphans(const cql__streams *streams);
uint8_t *cql__spec_writer_reserve(cql__writer *writer, size_t size);
size_t cql__spec_writer_unsent(const cql__writer *writer);
cql__link *cql__spec_session_link(const cql_session_t *session);
uint32_t cql__spec_shard_of(int64_t token, uint32_t count, unsigned ignore_msb);
uint16_t cql__spec_tablets_resolve(void *user, const uint8_t id[16]);
uint16_t cql__spec_tablets_node(const cql__tablets *tablets, uint16_t host);
void cql__spec_route_changed(void *user, const uint8_t host_id[16]);

#endif
