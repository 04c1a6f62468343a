/* Parser: what the files that parse CQL share: one token ahead, and what may be taken. */
#ifndef CQL_SIM_PARSER_H
#define CQL_SIM_PARSER_H

#include "sim/lexer.h"
#include "sim/query.h"

typedef struct cql__sim_parser {
  cql__sim_lexer lexer;
  cql__sim_region *region;
  const uint8_t *text;
  cql__sim_token token; /* the next one */
  cql__sim_token ahead; /* the one behind it */
  uint32_t markers;
  int depth;  /* of terms and types */
  int failed; /* then everything that is taken is empty */
  cql__sim_buffer *why;
} cql__sim_parser;

void cql__sim_parser_advance(cql__sim_parser *p);
/* The text is no CQL here. */
void cql__sim_parse_failed(cql__sim_parser *p);
int cql__sim_token_is(const cql__sim_token *token, int kind, const char *text);
int cql__sim_is_word(const cql__sim_parser *p, const char *word);
int cql__sim_is_mark(const cql__sim_parser *p, const char *mark);
/* Takes it if it is the next: 1, else 0. */
int cql__sim_take_word(cql__sim_parser *p, const char *word);
int cql__sim_take_mark(cql__sim_parser *p, const char *mark);
/* Takes it, or fails. */
void cql__sim_expect_word(cql__sim_parser *p, const char *word);
void cql__sim_expect_mark(cql__sim_parser *p, const char *mark);
/* A name, quoted or not. */
cql_slice_t cql__sim_take_name(cql__sim_parser *p);
/* [keyspace.]name into the statement. */
void cql__sim_take_table(cql__sim_parser *p, cql__sim_statement *s);
cql__sim_term *cql__sim_take_term(cql__sim_parser *p);
/* `mark`-separated parts: 1 while there is another. */
static inline int cql__sim_take_comma(cql__sim_parser *p) { return cql__sim_take_mark(p, ","); }
/* IF NOT EXISTS, IF EXISTS. */
void cql__sim_take_if_not_exists(cql__sim_parser *p, cql__sim_statement *s);
void cql__sim_take_if_exists(cql__sim_parser *p, cql__sim_statement *s);
/* What stands behind CREATE, ALTER, DROP. */
void cql__sim_parse_create(cql__sim_parser *p, cql__sim_statement *s);
void cql__sim_parse_alter(cql__sim_parser *p, cql__sim_statement *s);
void cql__sim_parse_drop(cql__sim_parser *p, cql__sim_statement *s);

/* ---- parse_term.c ---- */

cql__sim_relation *cql__sim_take_relations(cql__sim_parser *p);
void cql__sim_take_conditions(cql__sim_parser *p, cql__sim_statement *s);
void cql__sim_take_using(cql__sim_parser *p, cql__sim_statement *s);

/* ---- parse_query.c ---- */

void cql__sim_parse_select(cql__sim_parser *p, cql__sim_statement *s);
void cql__sim_parse_insert(cql__sim_parser *p, cql__sim_statement *s);
void cql__sim_parse_update(cql__sim_parser *p, cql__sim_statement *s);
void cql__sim_parse_delete(cql__sim_parser *p, cql__sim_statement *s);

#endif
