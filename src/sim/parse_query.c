/* SELECT, INSERT, UPDATE and DELETE. */
#include "sim/parser.h"

/* ---- SELECT ---- */

static cql__sim_selector *take_selector(cql__sim_parser *p) {
  cql__sim_selector *selector = cql__sim_region_take(p->region, sizeof *selector);
  const cql_slice_t none = {NULL, CQL_NULL};
  selector->function = selector->alias = none;
  if (cql__sim_token_is(&p->ahead, CQL__SIM_MARK, "(")) {
    selector->function = cql__sim_take_name(p);
    cql__sim_parser_advance(p);
    selector->column = none;
    if (cql__sim_take_mark(p, "*") || p->token.kind == CQL__SIM_INTEGER) {
      if (p->token.kind == CQL__SIM_INTEGER) cql__sim_parser_advance(p);
    } else if (!cql__sim_is_mark(p, ")")) {
      selector->column = cql__sim_take_name(p);
      while (cql__sim_take_comma(p)) cql__sim_take_name(p);
    }
    cql__sim_expect_mark(p, ")");
  } else {
    selector->column = cql__sim_take_name(p);
  }
  if (cql__sim_take_word(p, "as")) selector->alias = cql__sim_take_name(p);
  return selector;
}

static cql__sim_name *take_order(cql__sim_parser *p) {
  cql__sim_name *first = NULL, **at = &first;
  do {
    *at = cql__sim_region_take(p->region, sizeof **at);
    (*at)->text = cql__sim_take_name(p);
    (*at)->descending = cql__sim_take_word(p, "desc");
    if (!(*at)->descending) cql__sim_take_word(p, "asc");
    at = &(*at)->next;
  } while (cql__sim_take_comma(p));
  return first;
}

void cql__sim_parse_select(cql__sim_parser *p, cql__sim_statement *s) {
  s->distinct = cql__sim_take_word(p, "distinct");
  cql__sim_selector **at = &s->selectors;
  if (!cql__sim_take_mark(p, "*")) do {
      *at = take_selector(p);
      at = &(*at)->next;
    } while (cql__sim_take_comma(p));
  cql__sim_expect_word(p, "from");
  cql__sim_take_table(p, s);
  if (cql__sim_take_word(p, "where")) s->where = cql__sim_take_relations(p);
  if (cql__sim_take_word(p, "order")) {
    cql__sim_expect_word(p, "by");
    s->order = take_order(p);
  }
  if (cql__sim_take_word(p, "per")) {
    cql__sim_expect_word(p, "partition");
    cql__sim_expect_word(p, "limit");
    s->partition_limit = cql__sim_take_term(p);
  }
  if (cql__sim_take_word(p, "limit")) s->limit = cql__sim_take_term(p);
  if (cql__sim_take_word(p, "allow")) {
    cql__sim_expect_word(p, "filtering");
    s->allow_filtering = 1;
  }
  if (cql__sim_take_word(p, "bypass")) cql__sim_expect_word(p, "cache");
  cql__sim_take_using(p, s);
}

/* ---- INSERT, UPDATE, DELETE ---- */

void cql__sim_parse_insert(cql__sim_parser *p, cql__sim_statement *s) {
  cql__sim_expect_word(p, "into");
  cql__sim_take_table(p, s);
  cql__sim_expect_mark(p, "(");
  cql__sim_name **column = &s->columns;
  uint32_t columns = 0, values = 0;
  do {
    *column = cql__sim_region_take(p->region, sizeof **column);
    (*column)->text = cql__sim_take_name(p);
    column = &(*column)->next;
    columns++;
  } while (cql__sim_take_comma(p));
  cql__sim_expect_mark(p, ")");
  cql__sim_expect_word(p, "values");
  cql__sim_expect_mark(p, "(");
  cql__sim_term *first = NULL, **at = &first;
  do {
    *at = cql__sim_take_term(p);
    at = &(*at)->next;
    values++;
  } while (cql__sim_take_comma(p));
  s->values = first;
  cql__sim_expect_mark(p, ")");
  if (columns != values && !p->failed) {
    p->failed = 1;
    cql__sim_print(p->why, "Unmatched column names/values");
  }
  cql__sim_take_if_not_exists(p, s);
  cql__sim_take_using(p, s);
}

static int is_column(const cql__sim_parser *p, cql_slice_t column) {
  return (p->token.kind == CQL__SIM_WORD || p->token.kind == CQL__SIM_QUOTED) &&
         p->token.text.length == column.length &&
         memcmp(p->token.text.data, column.data, (size_t)column.length) == 0;
}

/* What stands behind "column =". */
static void take_value(cql__sim_parser *p, cql__sim_assignment *a) {
  if (is_column(p, a->column)) {
    cql__sim_parser_advance(p);
    if (p->token.kind == CQL__SIM_INTEGER && p->token.text.data[0] == '-') { /* c = c -1 */
      a->op = CQL__SIM_ADD;
    } else if (cql__sim_take_mark(p, "+")) {
      a->op = CQL__SIM_ADD;
    } else {
      cql__sim_expect_mark(p, "-");
      a->op = CQL__SIM_REMOVE;
    }
    a->value = cql__sim_take_term(p);
    return;
  }
  a->value = cql__sim_take_term(p);
  if (!cql__sim_take_mark(p, "+")) return;
  if (!is_column(p, a->column)) cql__sim_parse_failed(p);
  cql__sim_parser_advance(p);
  a->op = CQL__SIM_PREPEND;
}

static cql__sim_assignment *take_assignment(cql__sim_parser *p) {
  cql__sim_assignment *a = cql__sim_region_take(p->region, sizeof *a);
  a->column = cql__sim_take_name(p);
  if (cql__sim_take_mark(p, "[")) {
    a->key = cql__sim_take_term(p);
    cql__sim_expect_mark(p, "]");
  }
  if (cql__sim_take_mark(p, "+=") || cql__sim_is_mark(p, "-=")) {
    a->op = cql__sim_take_mark(p, "-=") ? CQL__SIM_REMOVE : CQL__SIM_ADD;
    a->value = cql__sim_take_term(p);
    return a;
  }
  cql__sim_expect_mark(p, "=");
  take_value(p, a);
  return a;
}

void cql__sim_parse_update(cql__sim_parser *p, cql__sim_statement *s) {
  cql__sim_take_table(p, s);
  cql__sim_take_using(p, s);
  cql__sim_expect_word(p, "set");
  cql__sim_assignment **at = &s->assignments;
  do {
    *at = take_assignment(p);
    at = &(*at)->next;
  } while (cql__sim_take_comma(p));
  cql__sim_expect_word(p, "where");
  s->where = cql__sim_take_relations(p);
  cql__sim_take_conditions(p, s);
}

void cql__sim_parse_delete(cql__sim_parser *p, cql__sim_statement *s) {
  cql__sim_assignment **at = &s->assignments;
  if (!cql__sim_is_word(p, "from")) do {
      *at = cql__sim_region_take(p->region, sizeof **at);
      (*at)->column = cql__sim_take_name(p);
      if (cql__sim_take_mark(p, "[")) {
        (*at)->key = cql__sim_take_term(p);
        cql__sim_expect_mark(p, "]");
      }
      at = &(*at)->next;
    } while (cql__sim_take_comma(p));
  cql__sim_expect_word(p, "from");
  cql__sim_take_table(p, s);
  cql__sim_take_using(p, s);
  cql__sim_expect_word(p, "where");
  s->where = cql__sim_take_relations(p);
  cql__sim_take_conditions(p, s);
}
