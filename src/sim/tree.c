#include "sim/tree.h"

static uint32_t next_random(cql__sim_tree *tree) {
  uint32_t x = tree->random ? tree->random : 0x9E3779B9;
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  return tree->random = x;
}

cql__sim_leaf *cql__sim_tree_find(const cql__sim_tree *tree, const void *key, cql__sim_order order,
                                  const void *user, int behind) {
  cql__sim_leaf *found = NULL;
  for (cql__sim_leaf *at = tree->root; at;) {
    int o = order(key, at, user);
    int fits = behind ? o < 0 : o <= 0;
    if (fits) found = at;
    at = fits ? at->left : at->right;
  }
  return found;
}

cql__sim_leaf *cql__sim_tree_find_last(const cql__sim_tree *tree, const void *key,
                                       cql__sim_order order, const void *user, int behind) {
  cql__sim_leaf *found = NULL;
  for (cql__sim_leaf *at = tree->root; at;) {
    int o = order(key, at, user);
    int fits = behind ? o >= 0 : o > 0;
    if (fits) found = at;
    at = fits ? at->right : at->left;
  }
  return found;
}

/* What comes before the key to *left, the rest to *right. */
static void split(cql__sim_leaf *at, const void *key, cql__sim_order order, const void *user,
                  cql__sim_leaf **left, cql__sim_leaf **right) {
  while (at) {
    if (order(key, at, user) < 0) {
      *right = at;
      right = &at->left;
      at = at->left;
    } else {
      *left = at;
      left = &at->right;
      at = at->right;
    }
  }
  *left = *right = NULL;
}

void cql__sim_tree_insert(cql__sim_tree *tree, cql__sim_leaf *leaf, const void *key,
                          cql__sim_order order, const void *user) {
  cql__sim_leaf **at = &tree->root;
  leaf->priority = next_random(tree);
  while (*at && (*at)->priority >= leaf->priority)
    at = order(key, *at, user) < 0 ? &(*at)->left : &(*at)->right;
  split(*at, key, order, user, &leaf->left, &leaf->right);
  *at = leaf;
  tree->count++;
}

/* All of `left` comes before all of `right`. */
static void merge(cql__sim_leaf **at, cql__sim_leaf *left, cql__sim_leaf *right) {
  while (left && right) {
    if (left->priority >= right->priority) {
      *at = left;
      at = &left->right;
      left = left->right;
    } else {
      *at = right;
      at = &right->left;
      right = right->left;
    }
  }
  *at = left ? left : right;
}

void cql__sim_tree_remove(cql__sim_tree *tree, cql__sim_leaf *leaf, const void *key,
                          cql__sim_order order, const void *user) {
  cql__sim_leaf **at = &tree->root;
  while (*at != leaf) at = order(key, *at, user) < 0 ? &(*at)->left : &(*at)->right;
  merge(at, leaf->left, leaf->right);
  tree->count--;
}

cql__sim_leaf *cql__sim_tree_take(cql__sim_tree *tree) {
  cql__sim_leaf *root = tree->root;
  if (!root) return NULL;
  merge(&tree->root, root->left, root->right);
  tree->count--;
  return root;
}
