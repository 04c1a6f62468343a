#include "sim/parser.h"

enum { DEPTH_MAX = 32 };

/* ---- tokens ---- */

void cql__sim_parser_advance(cql__sim_parser *p) {
  p->token = p->ahead;
  if (!p->failed) p->ahead = cql__sim_lex(&p->lexer);
}

void cql__sim_parse_failed(cql__sim_parser *p) {
  if (p->failed) return;
  p->failed = 1;
  int line = 1, column = 0;
  for (const uint8_t *at = p->text; at < p->token.start; at++, column++)
    if (*at == '\n') {
      line++;
      column = -1;
    }
  int length = (int)(p->token.end - p->token.start);
  if (length > 40) length = 40;
  if (p->token.kind == CQL__SIM_END)
    cql__sim_print(p->why, "line %d:%d no viable alternative at input '<EOF>'", line, column);
  else
    cql__sim_print(p->why, "line %d:%d no viable alternative at input '%.*s'", line, column, length,
                   (const char *)p->token.start);
  p->token.kind = p->ahead.kind = CQL__SIM_END;
}

static int is(const cql__sim_token *token, int kind, const char *text) {
  return token->kind == kind && cql__slice_is(token->text, text);
}
int cql__sim_is_word(const cql__sim_parser *p, const char *word) {
  return is(&p->token, CQL__SIM_WORD, word);
}
int cql__sim_is_mark(const cql__sim_parser *p, const char *mark) {
  return is(&p->token, CQL__SIM_MARK, mark);
}

static int take_if(cql__sim_parser *p, int fits) {
  if (fits) cql__sim_parser_advance(p);
  return fits;
}
int cql__sim_take_word(cql__sim_parser *p, const char *word) {
  return take_if(p, cql__sim_is_word(p, word));
}
int cql__sim_take_mark(cql__sim_parser *p, const char *mark) {
  return take_if(p, cql__sim_is_mark(p, mark));
}
void cql__sim_expect_word(cql__sim_parser *p, const char *word) {
  if (!cql__sim_take_word(p, word)) cql__sim_parse_failed(p);
}
void cql__sim_expect_mark(cql__sim_parser *p, const char *mark) {
  if (!cql__sim_take_mark(p, mark)) cql__sim_parse_failed(p);
}

cql_slice_t cql__sim_take_name(cql__sim_parser *p) {
  cql_slice_t name = p->token.text;
  if (p->token.kind != CQL__SIM_WORD && p->token.kind != CQL__SIM_QUOTED) {
    cql__sim_parse_failed(p);
    return (cql_slice_t){NULL, 0};
  }
  cql__sim_parser_advance(p);
  return name;
}

void cql__sim_take_table(cql__sim_parser *p, cql__sim_statement *s) {
  s->name = cql__sim_take_name(p);
  if (!cql__sim_take_mark(p, ".")) return;
  s->keyspace = s->name;
  s->name = cql__sim_take_name(p);
}

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
                  is(&p->ahead, CQL__SIM_MARK, ":");
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
  if (!term && is(&p->ahead, CQL__SIM_MARK, "(")) {
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
  if (cql__sim_is_word(p, "token") && is(&p->ahead, CQL__SIM_MARK, "(")) {
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

static cql__sim_relation *take_relations(cql__sim_parser *p) {
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

static void take_conditions(cql__sim_parser *p, cql__sim_statement *s) {
  if (!cql__sim_take_word(p, "if")) return;
  if (cql__sim_take_word(p, "exists"))
    s->if_exists = 1;
  else
    s->conditions = take_relations(p);
}

static void take_using(cql__sim_parser *p, cql__sim_statement *s) {
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

/* ---- SELECT ---- */

static cql__sim_selector *take_selector(cql__sim_parser *p) {
  cql__sim_selector *selector = cql__sim_region_take(p->region, sizeof *selector);
  const cql_slice_t none = {NULL, CQL_NULL};
  selector->function = selector->alias = none;
  if (is(&p->ahead, CQL__SIM_MARK, "(")) {
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

static void parse_select(cql__sim_parser *p, cql__sim_statement *s) {
  s->distinct = cql__sim_take_word(p, "distinct");
  cql__sim_selector **at = &s->selectors;
  if (!cql__sim_take_mark(p, "*")) do {
      *at = take_selector(p);
      at = &(*at)->next;
    } while (cql__sim_take_comma(p));
  cql__sim_expect_word(p, "from");
  cql__sim_take_table(p, s);
  if (cql__sim_take_word(p, "where")) s->where = take_relations(p);
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
  take_using(p, s);
}

/* ---- INSERT, UPDATE, DELETE ---- */

static void parse_insert(cql__sim_parser *p, cql__sim_statement *s) {
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
  take_using(p, s);
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

static void parse_update(cql__sim_parser *p, cql__sim_statement *s) {
  cql__sim_take_table(p, s);
  take_using(p, s);
  cql__sim_expect_word(p, "set");
  cql__sim_assignment **at = &s->assignments;
  do {
    *at = take_assignment(p);
    at = &(*at)->next;
  } while (cql__sim_take_comma(p));
  cql__sim_expect_word(p, "where");
  s->where = take_relations(p);
  take_conditions(p, s);
}

static void parse_delete(cql__sim_parser *p, cql__sim_statement *s) {
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
  take_using(p, s);
  cql__sim_expect_word(p, "where");
  s->where = take_relations(p);
  take_conditions(p, s);
}

/* ---- statements ---- */

static cql__sim_statement *new_statement(cql__sim_parser *p) {
  cql__sim_statement *s = cql__sim_region_take(p->region, sizeof *s);
  s->keyspace = s->name = (cql_slice_t){NULL, CQL_NULL};
  return s;
}

/* INSERT, UPDATE or DELETE: 1 if it is one. */
static int parse_change(cql__sim_parser *p, cql__sim_statement *s) {
  static const struct {
    const char *word;
    int kind;
    void (*parse)(cql__sim_parser *p, cql__sim_statement *s);
  } changes[] = {{"insert", CQL__SIM_INSERT, parse_insert},
                 {"update", CQL__SIM_UPDATE, parse_update},
                 {"delete", CQL__SIM_DELETE, parse_delete}};
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
    if (!cql__sim_take_word(p, changes[i].word)) continue;
    s->kind = changes[i].kind;
    changes[i].parse(p, s);
    return 1;
  }
  return 0;
}

static void parse_batch(cql__sim_parser *p, cql__sim_statement *s) {
  s->batch_type = cql__sim_take_word(p, "unlogged")  ? CQL_UNLOGGED
                  : cql__sim_take_word(p, "counter") ? CQL_COUNTER_BATCH
                                                     : CQL_LOGGED;
  cql__sim_expect_word(p, "batch");
  take_using(p, s);
  cql__sim_statement **at = &s->statements;
  while (!p->failed && !cql__sim_is_word(p, "apply")) {
    *at = new_statement(p);
    if (!parse_change(p, *at)) cql__sim_parse_failed(p);
    at = &(*at)->next;
    cql__sim_take_mark(p, ";");
  }
  cql__sim_expect_word(p, "apply");
  cql__sim_expect_word(p, "batch");
}

static void parse_truncate(cql__sim_parser *p, cql__sim_statement *s) {
  cql__sim_take_word(p, "table");
  cql__sim_take_table(p, s);
}

static void parse_use(cql__sim_parser *p, cql__sim_statement *s) {
  s->keyspace = cql__sim_take_name(p);
}

/* Roles and permissions: known to be CQL, and nothing happens. */
static void parse_other(cql__sim_parser *p, cql__sim_statement *s) {
  (void)s;
  while (p->token.kind != CQL__SIM_END && p->token.kind != CQL__SIM_BAD) cql__sim_parser_advance(p);
}

static void parse_statement(cql__sim_parser *p, cql__sim_statement *s) {
  static const struct {
    const char *word;
    int kind;
    void (*parse)(cql__sim_parser *p, cql__sim_statement *s);
  } statements[] = {{"select", CQL__SIM_SELECT, parse_select},
                    {"begin", CQL__SIM_BATCH, parse_batch},
                    {"use", CQL__SIM_USE, parse_use},
                    {"truncate", CQL__SIM_TRUNCATE, parse_truncate},
                    {"create", CQL__SIM_OTHER, cql__sim_parse_create},
                    {"alter", CQL__SIM_OTHER, cql__sim_parse_alter},
                    {"drop", CQL__SIM_OTHER, cql__sim_parse_drop},
                    {"grant", CQL__SIM_OTHER, parse_other},
                    {"revoke", CQL__SIM_OTHER, parse_other}};
  if (parse_change(p, s)) return;
  for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
    if (!cql__sim_take_word(p, statements[i].word)) continue;
    s->kind = statements[i].kind;
    statements[i].parse(p, s);
    return;
  }
  cql__sim_parse_failed(p);
}

static cql__sim_parser start(cql__sim_region *region, const uint8_t *text, size_t length,
                             cql__sim_buffer *why) {
  cql__sim_parser p = {
      .lexer = {region, text, text + length}, .region = region, .text = text, .why = why};
  p.ahead = cql__sim_lex(&p.lexer);
  cql__sim_parser_advance(&p);
  return p;
}

cql__sim_statement *cql__sim_parse(cql__sim_region *region, const uint8_t *text, size_t length,
                                   cql__sim_buffer *why) {
  cql__sim_parser p = start(region, text, length, why);
  cql__sim_statement *s = new_statement(&p);
  parse_statement(&p, s);
  cql__sim_take_mark(&p, ";");
  if (p.token.kind != CQL__SIM_END) cql__sim_parse_failed(&p);
  if (p.markers > 65535 && !p.failed) {
    p.failed = 1;
    cql__sim_print(why, "too many bind markers");
  }
  s->marker_count = p.markers;
  return p.failed ? NULL : s;
}

const cql__sim_term *cql__sim_parse_terms(cql__sim_region *region, const char *text,
                                          cql__sim_buffer *why) {
  cql__sim_parser p = start(region, (const uint8_t *)text, strlen(text), why);
  cql__sim_term *first = NULL, **at = &first;
  do {
    *at = cql__sim_take_term(&p);
    at = &(*at)->next;
  } while (cql__sim_take_comma(&p));
  if (p.token.kind != CQL__SIM_END) cql__sim_parse_failed(&p);
  return p.failed ? NULL : first;
}

int cql__sim_is_conditional(const cql__sim_statement *s) {
  if (s->kind == CQL__SIM_BATCH) {
    for (const cql__sim_statement *one = s->statements; one; one = one->next)
      if (cql__sim_is_conditional(one)) return 1;
    return 0;
  }
  if (s->kind != CQL__SIM_INSERT && s->kind != CQL__SIM_UPDATE && s->kind != CQL__SIM_DELETE)
    return 0;
  return s->if_exists || s->if_not_exists || s->conditions;
}
