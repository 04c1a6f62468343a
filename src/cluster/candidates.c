#include "cluster/candidates.h"

#include "base/mem.h"

void cql__candidates_deinit(cql__candidates *candidates) {
  cql__free(candidates->contacts);
  candidates->contacts = NULL;
  candidates->contact_count = 0;
}

/* ---- contact points ---- */

int cql__candidates_add(cql__candidates *candidates, const cql__address *address, uint32_t giver) {
  cql__contact contact = {*address, giver, 0};
  int is_new = 1;
  for (uint32_t i = 0; i < candidates->contact_count; i++) {
    const cql__contact *other = &candidates->contacts[i];
    if (!cql__address_equal(&other->address, address)) continue;
    if (other->giver == giver) return 0;
    contact.last_error = other->last_error;
    is_new = 0;
  }
  cql__contact *contacts =
      cql__realloc(candidates->contacts, (candidates->contact_count + 1) * sizeof *contacts);
  if (!contacts) return CQL_ENOMEM;
  candidates->contacts = contacts;
  contacts[candidates->contact_count++] = contact;
  return is_new;
}

void cql__candidates_keep(cql__candidates *candidates, uint32_t giver,
                          const cql__address *addresses, uint32_t count) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < candidates->contact_count; i++) {
    const cql__contact *contact = &candidates->contacts[i];
    int keeps = contact->giver != giver;
    for (uint32_t k = 0; k < count && !keeps; k++)
      keeps = cql__address_equal(&contact->address, &addresses[k]);
    if (keeps) candidates->contacts[kept++] = *contact;
  }
  candidates->contact_count = kept;
}

void cql__candidates_note(cql__candidates *candidates, const cql__address *point, int error) {
  for (uint32_t i = 0; i < candidates->contact_count; i++)
    if (cql__address_equal(&candidates->contacts[i].address, point))
      candidates->contacts[i].last_error = error;
}

int cql__candidates_failed(const cql__candidates *candidates, int for_good) {
  int first = 0;
  for (uint32_t i = 0; i < candidates->contact_count; i++) {
    int error = candidates->contacts[i].last_error;
    if (!error || (for_good && !cql__error_is_final(error))) return 0;
    if (!first) first = error;
  }
  return first;
}

/* ---- rounds ---- */

int cql__candidate_is_wanted(const cql_node_t *node) {
  return node->undecided || node->distance != CQL_DISTANCE_IGNORED;
}

/* Behind one address there may be several nodes. */
static int is_wanted_at(const cql__cluster *cluster, const cql__address *address) {
  int known = 0;
  for (uint32_t i = 0; i < cluster->node_count; i++) {
    if (!cql__address_equal(&cluster->nodes[i]->data.address, address)) continue;
    if (cql__candidate_is_wanted(cluster->nodes[i])) return 1;
    known = 1;
  }
  return !known;
}

/* An address that several contact points stand for is one candidate. */
static int is_repeated(const cql__candidates *candidates, uint32_t index) {
  const cql__contact *contacts = candidates->contacts;
  for (uint32_t i = 0; i < index; i++)
    if (cql__address_equal(&contacts[i].address, &contacts[index].address)) return 1;
  return 0;
}

void cql__candidates_begin_round(cql__candidates *candidates) {
  candidates->position = candidates->asked = candidates->anyone = 0;
  candidates->offset = (uint32_t)(cql__rand_next(candidates->cluster->rand) >> 33);
}

/* The one at this position. 0: it comes at another. */
static int candidate_at(const cql__candidates *candidates, uint32_t at, cql__candidate *out) {
  const cql__cluster *cluster = candidates->cluster;
  uint32_t nodes = cluster->node_count, offset = candidates->offset;
  *out = (cql__candidate){.node = NULL};
  if (at < nodes) {
    out->node = cluster->nodes[(offset + at) % nodes];
    return 1;
  }
  uint32_t index = (offset + at - nodes) % candidates->contact_count;
  out->point = candidates->contacts[index].address;
  return !is_repeated(candidates, index);
}

static int is_wanted(const cql__candidates *candidates, const cql__candidate *candidate) {
  if (candidate->node) return cql__candidate_is_wanted(candidate->node);
  return is_wanted_at(candidates->cluster, &candidate->point);
}

int cql__candidates_next(cql__candidates *candidates, cql__candidate *out) {
  uint32_t all = candidates->cluster->node_count + candidates->contact_count;
  while (candidates->position < all || (!candidates->asked && !candidates->anyone)) {
    if (candidates->position >= all) {
      candidates->position = 0;
      candidates->anyone = 1;
      continue;
    }
    if (!candidate_at(candidates, candidates->position++, out)) continue;
    if (!candidates->anyone && !is_wanted(candidates, out)) continue;
    candidates->asked = 1;
    return 1;
  }
  return 0;
}
