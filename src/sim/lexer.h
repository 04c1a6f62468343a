/* Lexer: CQL text cut into tokens. Any bytes at all may come in. */
#ifndef CQL_SIM_LEXER_H
#define CQL_SIM_LEXER_H

#include "sim/memory.h"
#include "wire/cursor.h"

enum {
  CQL__SIM_END,
  CQL__SIM_WORD,    /* a name without quotes, in lower case, or a keyword */
  CQL__SIM_QUOTED,  /* a "name" */
  CQL__SIM_STRING,  /* 'text', or between $$ */
  CQL__SIM_INTEGER, /* 12, -3 */
  CQL__SIM_REAL,    /* 1.5, -2e3, NaN and Infinity with a sign */
  CQL__SIM_UUID,
  CQL__SIM_BLOB, /* 0xcafe */
  CQL__SIM_DURATION,
  CQL__SIM_MARK, /* punctuation: `text` has it, as "(" or ">=" */
  CQL__SIM_BAD   /* no token begins here */
};

typedef struct cql__sim_token {
  int kind;
  cql_slice_t text; /* what it means: without quotes, doubled ones made one */
  const uint8_t *start;
  const uint8_t *end; /* in the text */
} cql__sim_token;

typedef struct cql__sim_lexer {
  cql__sim_region *region; /* of texts that had to be changed */
  const uint8_t *next, *end;
} cql__sim_lexer;

cql__sim_token cql__sim_lex(cql__sim_lexer *lexer);

#endif
