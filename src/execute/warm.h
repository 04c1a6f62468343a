/* Warm: statements are prepared on all nodes before requests need them there: a statement that was
 * just prepared on the other nodes, and all statements on a node that comes up, before it is given
 * requests. In the background, and for a while only: what is left is prepared when it is needed. */
#ifndef CQL_EXECUTE_WARM_H
#define CQL_EXECUTE_WARM_H

#include "execute/prepared.h"

/* It is up: it gets the statements, and no requests before it has them. */
void cql__warm_node(cql__engine *engine, cql_node_t *node);
/* It has been prepared on that node: the others that are up get it. */
void cql__warm_statement(cql__engine *engine, cql_prepared_t *prepared, const cql_node_t *except);
/* Frees what is under way, and lets go of statements that outlive the session. */
void cql__warm_deinit(cql__engine *engine);

#endif
