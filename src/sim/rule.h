/* Rule: what a node does instead of what it would. */
#ifndef CQL_SIM_RULE_H
#define CQL_SIM_RULE_H

#include "sim/message.h"

/* One condition: any of its values holds. */
typedef struct cql__sim_condition {
  struct cql__sim_condition *next;
  int what;
  int negated;
  struct {
    cql_slice_t text;
    int64_t number;
  } * values;
  size_t count, capacity;
} cql__sim_condition;

typedef struct cql__sim_rule {
  cql__list link; /* in sim->rules, the first that fits plays */
  int32_t id;
  cql__sim_condition *conditions;
  uint32_t chance; /* millionths */
  int64_t after;   /* so many that fit are let pass */
  int64_t times;   /* then it plays so often; -1: always */
  int64_t fitted, played;
  /* what it answers */
  int answers; /* CQL__SIM_PASS ... */
  int spoils;  /* the body is the answer's own, with these changes */
  cql__sim_error error;
  char *message, *write_type, *keyspace, *table, *arguments;
  int consistency_given;
  cql__store_result *rows;
  cql__sim_buffer encoded; /* rows behind those */
  uint32_t encoded_rows;
  char *paging_state;
  char *warning;
  cql__sim_buffer raw;
  cql__sim_buffer payload; /* entries */
  uint32_t payload_count;
  cql__sim_spread delay, close_delay;
  int twice, stream, corrupt, close;
  int32_t flip, keep;
} cql__sim_rule;

enum {
  CQL__SIM_PASS,
  CQL__SIM_PLAY_ERROR,
  CQL__SIM_PLAY_VOID,
  CQL__SIM_PLAY_ROWS,
  CQL__SIM_PLAY_NOTHING,
  CQL__SIM_PLAY_RAW
};

/* The first rule that fits and plays; NULL: none. Counted. */
cql__sim_rule *cql__sim_rule_find(cql_sim_t *sim, const cql__sim_client *client,
                                  const cql__sim_request *request);
/* 1: it answers in the node's place. 0: the node answers. */
int cql__sim_rule_answer(cql_sim_t *sim, const cql__sim_rule *rule, const cql__sim_client *client,
                         const cql__sim_request *request, cql__sim_answer *answer);
/* What it does to any answer. */
void cql__sim_rule_spoil(cql_sim_t *sim, const cql__sim_rule *rule, cql__sim_answer *answer);
void cql__sim_rules_free(cql_sim_t *sim);

/* ---- condition.c ---- */

int cql__sim_conditions_hold(const cql__sim_rule *rule, const cql__sim_client *client,
                             const cql__sim_request *request);
/* Each part of a rule by its name: 0, CQL_EOPTION: not with that value, CQL_EUNSUPPORTED: there is
 * none of that name. */
int cql__sim_condition_add(cql__sim_rule *rule, const char *name, int negated, cql_slice_t value);
/* INT64_MIN, or -1: it is none. */
int64_t cql__sim_number_of(cql_slice_t text);
int cql__sim_consistency_of(cql_slice_t name);
int cql__sim_yes_or_no(cql_slice_t value);

/* ---- action.c ---- */

int cql__sim_action_set(cql_sim_t *sim, cql__sim_rule *rule, const char *name, cql_slice_t value);

#endif
