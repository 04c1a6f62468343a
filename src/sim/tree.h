/* Tree: nodes in order, found in about log n comparisons. A treap: what chance does to its shape
 * comes from the order of insertion alone, so it is the same in every run. */
#ifndef CQL_SIM_TREE_H
#define CQL_SIM_TREE_H

#include <stddef.h>
#include <stdint.h>

typedef struct cql__sim_leaf {
  struct cql__sim_leaf *left, *right;
  uint32_t priority;
} cql__sim_leaf;

/* < 0: the key comes before the node, 0: it is its, > 0: behind it. */
typedef int (*cql__sim_order)(const void *key, const cql__sim_leaf *leaf, const void *user);

typedef struct cql__sim_tree {
  cql__sim_leaf *root;
  size_t count;
  uint32_t random;
} cql__sim_tree;

/* The first node that isn't before the key; with `behind` the first that comes after it. */
cql__sim_leaf *cql__sim_tree_find(const cql__sim_tree *tree, const void *key, cql__sim_order order,
                                  const void *user, int behind);
/* The last node before the key; with `behind` the last that doesn't come after it. */
cql__sim_leaf *cql__sim_tree_find_last(const cql__sim_tree *tree, const void *key,
                                       cql__sim_order order, const void *user, int behind);
/* `leaf` has this key, which none has yet. */
void cql__sim_tree_insert(cql__sim_tree *tree, cql__sim_leaf *leaf, const void *key,
                          cql__sim_order order, const void *user);
void cql__sim_tree_remove(cql__sim_tree *tree, cql__sim_leaf *leaf, const void *key,
                          cql__sim_order order, const void *user);
/* Any node, taken out; NULL: the tree is empty. */
cql__sim_leaf *cql__sim_tree_take(cql__sim_tree *tree);

#endif
