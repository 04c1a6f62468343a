/* Parse: a text of CQL becomes a statement. */
#include "sim/parser.h"

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

int cql__sim_token_is(const cql__sim_token *token, int kind, const char *text) {
  return token->kind == kind && cql__slice_is(token->text, text);
}
int cql__sim_is_word(const cql__sim_parser *p, const char *word) {
  return cql__sim_token_is(&p->token, CQL__SIM_WORD, word);
}
int cql__sim_is_mark(const cql__sim_parser *p, const char *mark) {
  return cql__sim_token_is(&p->token, CQL__SIM_MARK, mark);
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
  } changes[] = {{"insert", CQL__SIM_INSERT, cql__sim_parse_insert},
                 {"update", CQL__SIM_UPDATE, cql__sim_parse_update},
                 {"delete", CQL__SIM_DELETE, cql__sim_parse_delete}};
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
  cql__sim_take_using(p, s);
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
  } statements[] = {{"select", CQL__SIM_SELECT, cql__sim_parse_select},
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
