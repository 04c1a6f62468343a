/* Terms, and what stands behind WHERE, IF and USING. */
#include "sim/parser.h"

enum { DEPTH_MAX = 32 };

/* ---- terms ---- */

static cql__sim_term *new_term(cql__sim_parser *p, int kind) {
  cql__sim_term *term = cql__sim_region_take(p->region, sizeof *term);
  term->kind = kind;
  term->text = (cql_slice_t){NULL, CQL_NULL};
  term->name = (cql_slice_t){NULL, CQL_NULL};
  return term;
}

static cql__sim_term *new_marker(cql__sim_parser *p) {
  cql__sim_term *term = new_term(p, CQL__SIM_TERM_MARKER);
  int named = cql__sim_is_mark(p, ":");
  cql__sim_parser_advance(p);
  if (named) term->text = cql__sim_take_name(p);
  term->marker = (int)p->markers++;
  return term;
}

/* Up to the closing mark, which is taken. */
static void take_items(cql__sim_parser *p, cql__sim_term *term, const char *close) {
  cql__sim_term **at = &term->items;
  if (cql__sim_take_mark(p, close)) return;
  do {
    *at = cql__sim_take_term(p);
    at = &(*at)->next;
  } while (cql__sim_take_comma(p));
  cql__sim_expect_mark(p, close);
}

/* After "{": a set, a map or the fields of a UDT. */
static cql__sim_term *take_braces(cql__sim_parser *p) {
  cql__sim_term *term = new_term(p, CQL__SIM_TERM_SET), **at = &term->items;
  if (cql__sim_take_mark(p, "}")) return term;
  do {
    cql_slice_t name = p->token.text;
    int is_name = (p->token.kind == CQL__SIM_WORD || p->token.kind == CQL__SIM_QUOTED) &&
                  cql__sim_token_is(&p->ahead, CQL__SIM_MARK, ":");
    if (is_name) {
      term->kind = CQL__SIM_TERM_UDT;
      cql__sim_parser_advance(p);
    } else {
      *at = cql__sim_take_term(p);
      at = &(*at)->next;
      if (!cql__sim_is_mark(p, ":")) continue;
      term->kind = CQL__SIM_TERM_MAP;
    }
    cql__sim_parser_advance(p); /* ":" */
    *at = cql__sim_take_term(p);
    if (is_name) (*at)->name = name;
    at = &(*at)->next;
  } while (cql__sim_take_comma(p));
  cql__sim_expect_mark(p, "}");
  return term;
}

static cql__sim_term *take_word_term(cql__sim_parser *p) {
  cql_slice_t text = p->token.text;
  static const struct {
    const char *word;
    int kind;
  } words[] = {{"null", CQL__SIM_TERM_NULL},
               {"true", CQL__SIM_TERM_BOOLEAN},
               {"false", CQL__SIM_TERM_BOOLEAN},
               {"nan", CQL__SIM_TERM_REAL},
               {"infinity", CQL__SIM_TERM_REAL}};
  cql__sim_term *term = NULL;
  for (size_t i = 0; i < sizeof words / sizeof *words && !term; i++)
    if (cql__sim_is_word(p, words[i].word)) term = new_term(p, words[i].kind);
  if (!term && cql__sim_token_is(&p->ahead, CQL__SIM_MARK, "(")) {
    term = new_term(p, CQL__SIM_TERM_CALL);
    cql__sim_parser_advance(p);
  }
  if (!term) {
    cql__sim_parse_failed(p);
    return new_term(p, CQL__SIM_TERM_NULL);
  }
  cql__sim_parser_advance(p);
  term->text = text;
  if (term->kind == CQL__SIM_TERM_CALL) take_items(p, term, ")");
  return term;
}

static cql__sim_term *take_literal(cql__sim_parser *p) {
  static const struct {
    int token, term;
  } literals[] = {
      {CQL__SIM_STRING, CQL__SIM_TERM_TEXT}, {CQL__SIM_INTEGER, CQL__SIM_TERM_INTEGER},
      {CQL__SIM_REAL, CQL__SIM_TERM_REAL},   {CQL__SIM_UUID, CQL__SIM_TERM_UUID},
      {CQL__SIM_BLOB, CQL__SIM_TERM_BLOB},   {CQL__SIM_DURATION, CQL__SIM_TERM_DURATION}};
  for (size_t i = 0; i < sizeof literals / sizeof *literals; i++) {
    if (p->token.kind != literals[i].token) continue;
    cql__sim_term *term = new_term(p, literals[i].term);
    term->text = p->token.text;
    cql__sim_parser_advance(p);
    return term;
  }
  return NULL;
}

static cql__sim_term *take_any_term(cql__sim_parser *p) {
  cql__sim_term *term = take_literal(p);
  if (term) return term;
  if (cql__sim_is_mark(p, "?") || cql__sim_is_mark(p, ":")) return new_marker(p);
  if (cql__sim_take_mark(p, "[")) {
    term = new_term(p, CQL__SIM_TERM_LIST);
    take_items(p, term, "]");
    return term;
  }
  if (cql__sim_take_mark(p, "(")) {
    term = new_term(p, CQL__SIM_TERM_TUPLE);
    take_items(p, term, ")");
    return term;
  }
  if (cql__sim_take_mark(p, "{")) return take_braces(p);
  if (cql__sim_take_mark(p, "-")) { /* -Infinity, -NaN */
    term = take_word_term(p);
    term->name = (cql_slice_t){(const uint8_t *)"-", 1};
    return term;
  }
  return take_word_term(p);
}

cql__sim_term *cql__sim_take_term(cql__sim_parser *p) {
  if (++p->depth > DEPTH_MAX) cql__sim_parse_failed(p);
  cql__sim_term *term = p->failed ? new_term(p, CQL__SIM_TERM_NULL) : take_any_term(p);
  p->depth--;
  return term;
}

/* ---- WHERE, IF, USING ---- */

static int take_op(cql__sim_parser *p) {
  static const struct {
    const char *mark;
    int op;
  } ops[] = {{"=", CQL__SIM_EQUAL},   {"<", CQL__SIM_LESS},           {"<=", CQL__SIM_LESS_EQUAL},
             {">", CQL__SIM_GREATER}, {">=", CQL__SIM_GREATER_EQUAL}, {"!=", CQL__SIM_NOT_EQUAL}};
  for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
    if (cql__sim_take_mark(p, ops[i].mark)) return ops[i].op;
  if (cql__sim_take_word(p, "in")) return CQL__SIM_IN;
  cql__sim_expect_word(p, "contains");
  return cql__sim_take_word(p, "key") ? CQL__SIM_CONTAINS_KEY : CQL__SIM_CONTAINS;
}

static cql__sim_relation *take_relation(cql__sim_parser *p) {
  cql__sim_relation *relation = cql__sim_region_take(p->region, sizeof *relation);
  if (cql__sim_is_word(p, "token") && cql__sim_token_is(&p->ahead, CQL__SIM_MARK, "(")) {
    relation->of_token = 1;
    cql__sim_parser_advance(p);
    cql__sim_parser_advance(p);
    relation->column = cql__sim_take_name(p);
    while (cql__sim_take_comma(p)) cql__sim_take_name(p);
    cql__sim_expect_mark(p, ")");
  } else {
    relation->column = cql__sim_take_name(p);
  }
  if (cql__sim_take_mark(p, "[")) {
    relation->key = cql__sim_take_term(p);
    cql__sim_expect_mark(p, "]");
  }
  relation->op = take_op(p);
  relation->value = cql__sim_take_term(p);
  return relation;
}

cql__sim_relation *cql__sim_take_relations(cql__sim_parser *p) {
  cql__sim_relation *first = NULL, **at = &first;
  do {
    *at = take_relation(p);
    at = &(*at)->next;
  } while (cql__sim_take_word(p, "and"));
  return first;
}

void cql__sim_take_if_not_exists(cql__sim_parser *p, cql__sim_statement *s) {
  if (!cql__sim_take_word(p, "if")) return;
  cql__sim_expect_word(p, "not");
  cql__sim_expect_word(p, "exists");
  s->if_not_exists = 1;
}

void cql__sim_take_if_exists(cql__sim_parser *p, cql__sim_statement *s) {
  if (!cql__sim_take_word(p, "if")) return;
  cql__sim_expect_word(p, "exists");
  s->if_exists = 1;
}

void cql__sim_take_conditions(cql__sim_parser *p, cql__sim_statement *s) {
  if (!cql__sim_take_word(p, "if")) return;
  if (cql__sim_take_word(p, "exists"))
    s->if_exists = 1;
  else
    s->conditions = cql__sim_take_relations(p);
}

void cql__sim_take_using(cql__sim_parser *p, cql__sim_statement *s) {
  if (!cql__sim_take_word(p, "using")) return;
  do {
    if (cql__sim_take_word(p, "ttl")) {
      s->ttl = cql__sim_take_term(p);
    } else if (cql__sim_take_word(p, "timeout")) { /* Scylla's: nothing here takes that long */
      cql__sim_take_term(p);
    } else {
      cql__sim_expect_word(p, "timestamp");
      s->timestamp = cql__sim_take_term(p);
    }
  } while (cql__sim_take_word(p, "and"));
}
