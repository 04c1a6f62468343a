/* Prepared: the statements that a node keeps, and what it says of them. */
#include "sim/dispatch.h"
#include "sim/world.h"
#include "wire/proto.h"

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

cql__sim_prepared *cql__sim_prepared_keep(cql__sim_node *node, cql_slice_t keyspace,
                                          cql_slice_t text, cql__statement *statement,
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

int cql__sim_has_metadata_ids(const cql__sim_client *client) {
  return client->version >= 5 || client->extensions & CQL__SIM_METADATA_ID;
}

void cql__sim_prepared_put(const cql__sim_client *client, const cql__sim_prepared *prepared,
                           const cql__statement_shape *shape, cql__sim_buffer *b) {
  int version = client->version, scylla = cql__sim_is_scylla(client->node);
  int global = cql__sim_is_global(shape->binds, shape->bind_count);
  uint32_t mark = shape->conditional && client->extensions & CQL__SIM_LWT_MARK ? 0x80000000u : 0;
  cql__sim_put_u32(b, CQL_RESULT_PREPARED);
  cql__sim_put_short_bytes(b, (cql_slice_t){prepared->id, 16});
  if (cql__sim_has_metadata_ids(client))
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
