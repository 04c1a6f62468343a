/* Stands in for the store until it is there: every statement answers the one row that the
 * handshake needs. */
#include "sim/store.h"
#include "sim/system.h"
#include "sim/memory.h"
#include <string.h>
struct cql__store {
  int x;
};
struct cql__statement {
  int x;
  cql__statement_shape shape;
};
cql__store *cql__store_new(int s) {
  (void)s;
  return cql__sim_alloc(8);
}
void cql__store_free(cql__store *s) { cql__sim_release(s); }
void cql__store_version(const cql__store *s, uint8_t *o) {
  (void)s;
  memset(o, 7, 16);
}
int cql__store_replication(const cql__store *s, cql_slice_t k, cql__replication *o) {
  (void)s;
  (void)k;
  (void)o;
  return 0;
}
int cql__store_has_table(const cql__store *s, cql_slice_t k, cql_slice_t t) {
  (void)s;
  (void)k;
  (void)t;
  return 0;
}
static cql_column_t col = {{(const uint8_t *)"system", 6},
                           {(const uint8_t *)"local", 5},
                           {(const uint8_t *)"cluster_name", 12},
                           {.kind = CQL_TEXT}};
cql__statement *cql__store_prepare(cql__store *s, cql_slice_t k, cql_slice_t t,
                                   cql__store_result **e) {
  (void)s;
  (void)k;
  (void)t;
  *e = NULL;
  cql__statement *x = cql__sim_alloc(sizeof *x);
  x->shape.kind = 1;
  x->shape.columns = &col;
  x->shape.column_count = 1;
  x->shape.keyspace = x->shape.table = (cql_slice_t){NULL, -1};
  return x;
}
void cql__statement_free(cql__statement *s) { cql__sim_release(s); }
const cql__statement_shape *cql__statement_shape_of(cql__store *s, cql__statement *t) {
  (void)s;
  return &t->shape;
}
int cql__statement_token(cql__store *s, cql__statement *t, const cql__store_call *c, int64_t *o) {
  (void)s;
  (void)t;
  (void)c;
  (void)o;
  return 0;
}
void cql__store_call_init(cql__store_call *c) {
  memset(c, 0, sizeof *c);
  c->keyspace.length = -1;
  c->paging_state.length = -1;
  c->timestamp = CQL__STORE_NO_TIMESTAMP;
  c->now_in_seconds = -1;
}
cql__store_result *cql__store_execute(cql__store *s, cql__statement *t, const cql__store_call *c) {
  (void)s;
  (void)t;
  (void)c;
  cql__store_result *r = cql__sim_alloc(sizeof *r);
  r->kind = 2;
  r->columns = &col;
  r->column_count = 1;
  r->row_count = 1;
  r->rows = (cql_slice_t){(const uint8_t *)"\0\0\0\011Simulated", 13};
  r->paging_state.length = -1;
  return r;
}
cql__store_result *cql__store_query(cql__store *s, cql_slice_t t, const cql__store_call *c) {
  (void)t;
  return cql__store_execute(s, NULL, c);
}
cql__store_result *cql__store_batch(cql__store *s, int ty, const cql__store_item *i, uint32_t n,
                                    const cql__store_call *c) {
  (void)ty;
  (void)i;
  (void)n;
  return cql__store_execute(s, NULL, c);
}
void cql__store_result_free(cql__store_result *r) { cql__sim_release(r); }
cql__store_result *cql__store_columns(cql__store *s, cql_slice_t k, cql_slice_t t) {
  (void)k;
  (void)t;
  return cql__store_execute(s, NULL, NULL);
}
int cql__store_columns_add(cql__store_result *r, cql_slice_t v) {
  (void)r;
  (void)v;
  return 0;
}
void cql__system_install(cql__store *s) { (void)s; }
