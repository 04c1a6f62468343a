/* CREATE, ALTER and DROP. */
#include "sim/parser.h"

/* Over a type such as map<text, frozen<list<int>>>: its text. */
static cql_slice_t take_type(cql__sim_parser *p) {
  const uint8_t *start = p->token.start, *end = p->token.end;
  if (p->token.kind == CQL__SIM_STRING)
    cql__sim_parser_advance(p); /* 'a class' */
  else
    cql__sim_take_name(p);
  if (cql__sim_is_mark(p, ".")) {
    cql__sim_parser_advance(p);
    end = p->token.end;
    cql__sim_take_name(p);
  }
  if (cql__sim_is_mark(p, "<")) {
    for (int open = 0; !p->failed;) {
      if (p->token.kind == CQL__SIM_END || p->token.kind == CQL__SIM_BAD) cql__sim_parse_failed(p);
      open += cql__sim_is_mark(p, "<");
      open -= cql__sim_is_mark(p, ">");
      end = p->token.end;
      cql__sim_parser_advance(p);
      if (open == 0) break;
    }
  }
  return (cql_slice_t){start, (int32_t)(end - start)};
}

static cql__sim_definition *take_definition(cql__sim_parser *p) {
  cql__sim_definition *d = cql__sim_region_take(p->region, sizeof *d);
  d->name = cql__sim_take_name(p);
  d->type = take_type(p);
  d->is_static = cql__sim_take_word(p, "static");
  if (cql__sim_take_word(p, "primary")) {
    cql__sim_expect_word(p, "key");
    d->is_key = 1;
  }
  return d;
}

static cql__sim_name *take_names(cql__sim_parser *p, const char *close) {
  cql__sim_name *first = NULL, **at = &first;
  do {
    *at = cql__sim_region_take(p->region, sizeof **at);
    (*at)->text = cql__sim_take_name(p);
    at = &(*at)->next;
  } while (cql__sim_take_comma(p));
  cql__sim_expect_mark(p, close);
  return first;
}

/* PRIMARY KEY ((a, b), c, d), after KEY. */
static void take_key(cql__sim_parser *p, cql__sim_statement *s) {
  cql__sim_expect_mark(p, "(");
  if (cql__sim_take_mark(p, "(")) {
    s->partition_key = take_names(p, ")");
  } else {
    s->partition_key = cql__sim_region_take(p->region, sizeof *s->partition_key);
    s->partition_key->text = cql__sim_take_name(p);
  }
  if (cql__sim_take_comma(p))
    s->clustering_key = take_names(p, ")");
  else
    cql__sim_expect_mark(p, ")");
}

static void take_clustering_order(cql__sim_parser *p, cql__sim_statement *s) {
  cql__sim_name **at = &s->order;
  cql__sim_expect_word(p, "order");
  cql__sim_expect_word(p, "by");
  cql__sim_expect_mark(p, "(");
  do {
    *at = cql__sim_region_take(p->region, sizeof **at);
    (*at)->text = cql__sim_take_name(p);
    (*at)->descending = cql__sim_take_word(p, "desc");
    if (!(*at)->descending) cql__sim_take_word(p, "asc");
    at = &(*at)->next;
  } while (cql__sim_take_comma(p));
  cql__sim_expect_mark(p, ")");
}

/* WITH a = 1 AND b = {...} AND CLUSTERING ORDER BY (c DESC) AND COMPACT STORAGE */
static void take_options(cql__sim_parser *p, cql__sim_statement *s) {
  cql__sim_option **at = &s->options;
  if (!cql__sim_take_word(p, "with")) return;
  do {
    if (cql__sim_take_word(p, "clustering")) {
      take_clustering_order(p, s);
    } else if (cql__sim_take_word(p, "compact")) {
      cql__sim_expect_word(p, "storage");
    } else {
      *at = cql__sim_region_take(p->region, sizeof **at);
      (*at)->name = cql__sim_take_name(p);
      cql__sim_expect_mark(p, "=");
      (*at)->value = cql__sim_take_term(p);
      at = &(*at)->next;
    }
  } while (cql__sim_take_word(p, "and"));
}

static void take_columns(cql__sim_parser *p, cql__sim_statement *s) {
  cql__sim_definition **at = &s->definitions;
  cql__sim_expect_mark(p, "(");
  do {
    if (cql__sim_take_word(p, "primary")) {
      cql__sim_expect_word(p, "key");
      take_key(p, s);
      continue;
    }
    *at = take_definition(p);
    if ((*at)->is_key && !s->partition_key) {
      s->partition_key = cql__sim_region_take(p->region, sizeof *s->partition_key);
      s->partition_key->text = (*at)->name;
    }
    at = &(*at)->next;
  } while (cql__sim_take_comma(p));
  cql__sim_expect_mark(p, ")");
}

/* What we don't simulate, to its end. */
static void skip_rest(cql__sim_parser *p) {
  while (p->token.kind != CQL__SIM_END && p->token.kind != CQL__SIM_BAD) cql__sim_parser_advance(p);
}

static int take_keyspace_word(cql__sim_parser *p) {
  return cql__sim_take_word(p, "keyspace") || cql__sim_take_word(p, "schema");
}
static int take_table_word(cql__sim_parser *p) {
  return cql__sim_take_word(p, "table") || cql__sim_take_word(p, "columnfamily");
}

/* [IF NOT EXISTS] [name] ON table (column) [USING 'class'] [WITH ...] */
static void take_index(cql__sim_parser *p, cql__sim_statement *s) {
  s->kind = CQL__SIM_CREATE_INDEX;
  s->index = s->index_part = (cql_slice_t){NULL, CQL_NULL};
  cql__sim_take_if_not_exists(p, s);
  if (!cql__sim_is_word(p, "on")) s->index = cql__sim_take_name(p);
  cql__sim_expect_word(p, "on");
  cql__sim_take_table(p, s);
  cql__sim_expect_mark(p, "(");
  s->columns = cql__sim_region_take(p->region, sizeof *s->columns);
  s->columns->text = cql__sim_take_name(p);
  if (cql__sim_take_mark(p, "(")) {
    s->index_part = s->columns->text;
    s->columns->text = cql__sim_take_name(p);
    cql__sim_expect_mark(p, ")");
  }
  cql__sim_expect_mark(p, ")");
  if (cql__sim_take_word(p, "using")) cql__sim_take_term(p);
  take_options(p, s);
}

void cql__sim_parse_create(cql__sim_parser *p, cql__sim_statement *s) {
  if (take_keyspace_word(p)) {
    s->kind = CQL__SIM_CREATE_KEYSPACE;
    cql__sim_take_if_not_exists(p, s);
    s->keyspace = cql__sim_take_name(p);
    take_options(p, s);
  } else if (take_table_word(p)) {
    s->kind = CQL__SIM_CREATE_TABLE;
    cql__sim_take_if_not_exists(p, s);
    cql__sim_take_table(p, s);
    take_columns(p, s);
    take_options(p, s);
  } else if (cql__sim_take_word(p, "type")) {
    s->kind = CQL__SIM_CREATE_TYPE;
    cql__sim_take_if_not_exists(p, s);
    cql__sim_take_table(p, s);
    take_columns(p, s);
  } else if (cql__sim_take_word(p, "custom") || cql__sim_is_word(p, "index")) {
    cql__sim_expect_word(p, "index");
    take_index(p, s);
  } else {
    skip_rest(p);
  }
}

static void take_additions(cql__sim_parser *p, cql__sim_statement *s) {
  cql__sim_definition **at = &s->definitions;
  int bracket = cql__sim_take_mark(p, "(");
  s->alter = CQL__SIM_ALTER_ADD;
  do {
    *at = take_definition(p);
    at = &(*at)->next;
  } while (cql__sim_take_comma(p));
  if (bracket) cql__sim_expect_mark(p, ")");
}

static void take_names_only(cql__sim_parser *p, cql__sim_statement *s, int alter) {
  cql__sim_definition **at = &s->definitions;
  int bracket = cql__sim_take_mark(p, "(");
  s->alter = alter;
  do {
    *at = cql__sim_region_take(p->region, sizeof **at);
    (*at)->name = cql__sim_take_name(p);
    if (alter == CQL__SIM_ALTER_RENAME) {
      cql__sim_expect_word(p, "to");
      (*at)->new_name = cql__sim_take_name(p);
    }
    at = &(*at)->next;
  } while (cql__sim_take_comma(p) ||
           (alter == CQL__SIM_ALTER_RENAME && cql__sim_take_word(p, "and")));
  if (bracket) cql__sim_expect_mark(p, ")");
}

static void parse_alteration(cql__sim_parser *p, cql__sim_statement *s) {
  cql__sim_take_if_exists(p, s);
  cql__sim_take_table(p, s);
  if (cql__sim_take_word(p, "add")) {
    take_additions(p, s);
  } else if (cql__sim_take_word(p, "drop")) {
    take_names_only(p, s, CQL__SIM_ALTER_DROP);
  } else if (cql__sim_take_word(p, "rename")) {
    take_names_only(p, s, CQL__SIM_ALTER_RENAME);
  } else {
    s->alter = CQL__SIM_ALTER_WITH;
    if (!cql__sim_is_word(p, "with")) cql__sim_parse_failed(p);
    take_options(p, s);
  }
}

void cql__sim_parse_alter(cql__sim_parser *p, cql__sim_statement *s) {
  if (take_keyspace_word(p)) {
    s->kind = CQL__SIM_ALTER_KEYSPACE;
    cql__sim_take_if_exists(p, s);
    s->keyspace = cql__sim_take_name(p);
    take_options(p, s);
  } else if (take_table_word(p)) {
    s->kind = CQL__SIM_ALTER_TABLE;
    parse_alteration(p, s);
  } else if (cql__sim_take_word(p, "type")) {
    s->kind = CQL__SIM_ALTER_TYPE;
    parse_alteration(p, s);
  } else {
    skip_rest(p);
  }
}

void cql__sim_parse_drop(cql__sim_parser *p, cql__sim_statement *s) {
  if (take_keyspace_word(p)) {
    s->kind = CQL__SIM_DROP_KEYSPACE;
    cql__sim_take_if_exists(p, s);
    s->keyspace = cql__sim_take_name(p);
  } else if (take_table_word(p)) {
    s->kind = CQL__SIM_DROP_TABLE;
    cql__sim_take_if_exists(p, s);
    cql__sim_take_table(p, s);
  } else if (cql__sim_take_word(p, "type")) {
    s->kind = CQL__SIM_DROP_TYPE;
    cql__sim_take_if_exists(p, s);
    cql__sim_take_table(p, s);
  } else if (cql__sim_take_word(p, "index")) {
    s->kind = CQL__SIM_DROP_INDEX;
    cql__sim_take_if_exists(p, s);
    cql__sim_take_table(p, s);
  } else {
    skip_rest(p);
  }
}
