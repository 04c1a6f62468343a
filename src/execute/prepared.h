/* Prepared: a statement that the server knows by an id. Counted, and independent of its session:
 * it may outlive it. Its columns are swapped together with their id when the server says that they
 * have changed.
 *
 * Its own id is made of its text and, by some servers always, of the keyspace that the connection
 * uses. After USE a node that is asked to prepare it again may give it another: that is the
 * statement's from then on if it is sure to be the same statement, and the former one is kept in
 * mind, for what was sent with it. */
#ifndef CQL_EXECUTE_PREPARED_H
#define CQL_EXECUTE_PREPARED_H

#include "execute/engine.h"

enum { CQL__METADATA_ID_MAX = 64 };

struct cql_prepared_s {
  const cql__engine *engine; /* whose it is; compared, never followed: it may be gone */
  uint32_t refs;
  cql__list link;        /* engine->statements, while its session lives; else in none */
  uint8_t is_lwt;        /* ScyllaDB's mark */
  uint8_t is_of_changes; /* of a table of ScyllaDB's that has its own partitioner */
  cql__metadata *parameters;
  cql__metadata *columns;         /* column_count 0: none are known */
  const cql__tablet_table *table; /* of `epoch`: its tablets; NULL: it has none, or nobody asked */
  uint32_t epoch;
  cql__keyspace *home; /* of its table, once it was asked for; its engine's */
  char *text;
  size_t text_length;
  char *keyspace; /* in which it was prepared, and so a part of its id; NULL: in none */
  uint8_t *ids;   /* as EXECUTE has them: [short bytes] id, [short bytes] columns_id; then room for
                     that one, and the id that it had before, or has */
  uint16_t id_length;
  uint8_t columns_id_length; /* 0: no columns, or none whose id is known: the server sends them */
};

static inline const uint8_t *cql__prepared_id(const cql_prepared_t *prepared) {
  return prepared->ids + 2;
}
/* Has it that id, or had it until it got this one? */
int cql__prepared_has_id(const cql_prepared_t *prepared, cql_slice_t id);
/* How much of `ids` an EXECUTE on that connection has. */
static inline size_t cql__prepared_ids_size(const cql_prepared_t *prepared,
                                            const cql__connection *connection) {
  size_t size = 2u + prepared->id_length;
  return connection->features.metadata_id ? size + 2u + prepared->columns_id_length : size;
}

/* From a PREPARED body of that connection, behind its kind. `keyspace`: length CQL_NULL: none was
 * named. CQL_ENOMEM, CQL_EMALFORMED. */
int cql__prepared_decode(cql__engine *engine, const cql__connection *connection, cql__cursor *body,
                         cql_slice_t text, cql_slice_t keyspace, cql_prepared_t **out);
/* It was prepared again: takes over what the answer says. CQL_EPREPARED: it has another id, and may
 * be another statement. */
int cql__prepared_renew(cql__engine *engine, const cql__connection *connection, cql__cursor *body,
                        cql_prepared_t *prepared);
/* Its columns are these, and so is their id; length CQL_NULL: the answer had none. */
void cql__prepared_change(cql_prepared_t *prepared, cql__metadata *columns, cql_slice_t id);

#endif
