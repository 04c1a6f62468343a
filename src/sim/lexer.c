#include "sim/lexer.h"

static int is_digit(uint8_t c) { return c >= '0' && c <= '9'; }
static int is_letter(uint8_t c) {
  c |= 0x20;
  return c >= 'a' && c <= 'z';
}
static int is_hex(uint8_t c) { return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'); }
static int is_name(uint8_t c) { return is_letter(c) || is_digit(c) || c == '_'; }

static size_t left(const cql__sim_lexer *l) { return (size_t)(l->end - l->next); }
static uint8_t peek(const cql__sim_lexer *l, size_t at) { return at < left(l) ? l->next[at] : 0; }

/* Blanks and the three forms of comment. 0: a comment that never ends. */
static int skip_blanks(cql__sim_lexer *l) {
  while (left(l)) {
    uint8_t c = *l->next;
    if (c == ' ' || (c >= '\t' && c <= '\r')) {
      l->next++;
    } else if ((c == '-' && peek(l, 1) == '-') || (c == '/' && peek(l, 1) == '/')) {
      while (left(l) && *l->next != '\n') l->next++;
    } else if (c == '/' && peek(l, 1) == '*') {
      size_t at = 2;
      while (at < left(l) && !(l->next[at] == '*' && peek(l, at + 1) == '/')) at++;
      if (at >= left(l)) return 0;
      l->next += at + 2;
    } else {
      break;
    }
  }
  return 1;
}

/* 'it''s', "a""b": a quote stands for itself when it is doubled. */
static int lex_quoted(cql__sim_lexer *l, uint8_t quote, cql__sim_token *out) {
  const uint8_t *at = l->next + 1;
  size_t doubled = 0;
  for (;; at++) {
    if (at == l->end) return CQL__SIM_BAD;
    if (*at != quote) continue;
    if (at + 1 == l->end || at[1] != quote) break;
    doubled++;
    at++;
  }
  const uint8_t *from = l->next + 1;
  out->text = (cql_slice_t){from, (int32_t)(at - from)};
  l->next = at + 1;
  if (doubled) {
    uint8_t *copy = cql__sim_region_take(l->region, (size_t)out->text.length);
    size_t size = 0;
    for (; from < at; from++) {
      copy[size++] = *from;
      if (*from == quote) from++;
    }
    out->text = (cql_slice_t){copy, (int32_t)size};
  }
  return quote == '"' ? CQL__SIM_QUOTED : CQL__SIM_STRING;
}

static int lex_dollars(cql__sim_lexer *l, cql__sim_token *out) {
  const uint8_t *from = l->next + 2;
  for (const uint8_t *at = from; at + 1 < l->end; at++) {
    if (at[0] != '$' || at[1] != '$') continue;
    out->text = (cql_slice_t){from, (int32_t)(at - from)};
    l->next = at + 2;
    return CQL__SIM_STRING;
  }
  return CQL__SIM_BAD;
}

static size_t run(const cql__sim_lexer *l, size_t at, int (*test)(uint8_t)) {
  while (at < left(l) && test(l->next[at])) at++;
  return at;
}

static int take(cql__sim_lexer *l, size_t length, int kind, cql__sim_token *out) {
  out->text = (cql_slice_t){l->next, (int32_t)length};
  l->next += length;
  return kind;
}

/* 8-4-4-4-12 digits of hex, and nothing of a name behind them. */
static int is_uuid(const cql__sim_lexer *l) {
  for (size_t i = 0; i < 36; i++) {
    int hyphen = i == 8 || i == 13 || i == 18 || i == 23;
    if (hyphen ? peek(l, i) != '-' : !is_hex(peek(l, i))) return 0;
  }
  return !is_name(peek(l, 36));
}

/* 1y2mo3w4d5h6m7s8ms9us10ns, or a part of it, after digits. */
static size_t duration_length(const cql__sim_lexer *l, size_t at) {
  static const char *const units[] = {"mo", "ms", "us", "\xc2\xb5s", "ns", "y",
                                      "w",  "d",  "h",  "m",         "s",  NULL};
  size_t parts = 0;
  for (;; parts++) {
    size_t digits = run(l, at, is_digit), i = 0;
    if (digits == at) break;
    for (; units[i]; i++) {
      size_t length = strlen(units[i]), k = 0;
      while (k < length && (peek(l, digits + k) | 0x20) == ((uint8_t)units[i][k] | 0x20)) k++;
      if (k == length) break;
    }
    if (!units[i]) return 0;
    at = digits + strlen(units[i]);
  }
  return parts && !is_name(peek(l, at)) ? at : 0;
}

/* A number, or what looks like one at first. */
static int lex_number(cql__sim_lexer *l, cql__sim_token *out) {
  size_t start = peek(l, 0) == '-', at = run(l, start, is_digit);
  int kind = CQL__SIM_INTEGER;
  if (!start && peek(l, 0) == '0' && (peek(l, 1) | 0x20) == 'x')
    return take(l, run(l, 2, is_hex), CQL__SIM_BLOB, out);
  if (!start && is_uuid(l)) return take(l, 36, CQL__SIM_UUID, out);
  size_t duration = duration_length(l, start);
  if (duration) return take(l, duration, CQL__SIM_DURATION, out);
  if (peek(l, at) == '.' && is_digit(peek(l, at + 1))) {
    at = run(l, at + 1, is_digit);
    kind = CQL__SIM_REAL;
  }
  if ((peek(l, at) | 0x20) == 'e') {
    size_t sign = peek(l, at + 1) == '-' || peek(l, at + 1) == '+';
    if (is_digit(peek(l, at + 1 + sign))) {
      at = run(l, at + 1 + sign, is_digit);
      kind = CQL__SIM_REAL;
    }
  }
  if (is_name(peek(l, at))) return CQL__SIM_BAD;
  return take(l, at, kind, out);
}

static int lex_word(cql__sim_lexer *l, cql__sim_token *out) {
  size_t length = run(l, 0, is_name), i = 0;
  const uint8_t *from = l->next;
  while (i < length && !(from[i] >= 'A' && from[i] <= 'Z')) i++;
  take(l, length, 0, out);
  if (i < length) {
    uint8_t *copy = cql__sim_region_take(l->region, length);
    for (i = 0; i < length; i++)
      copy[i] = from[i] >= 'A' && from[i] <= 'Z' ? (uint8_t)(from[i] | 0x20) : from[i];
    out->text.data = copy;
  }
  return CQL__SIM_WORD;
}

static int lex_mark(cql__sim_lexer *l, cql__sim_token *out) {
  static const char *const marks[] = {"<=", ">=", "!=", "+=", "-=", NULL};
  for (size_t i = 0; marks[i]; i++)
    if (peek(l, 0) == (uint8_t)marks[i][0] && peek(l, 1) == (uint8_t)marks[i][1])
      return take(l, 2, CQL__SIM_MARK, out);
  if (*l->next && strchr("(){}[]<>=,.;:?*+-/%", *l->next)) return take(l, 1, CQL__SIM_MARK, out);
  return CQL__SIM_BAD;
}

static int lex(cql__sim_lexer *l, cql__sim_token *out) {
  uint8_t c = *l->next;
  if (c == '\'' || c == '"') return lex_quoted(l, c, out);
  if (c == '$' && peek(l, 1) == '$') return lex_dollars(l, out);
  if (is_digit(c) || (c == '-' && is_digit(peek(l, 1)))) return lex_number(l, out);
  if (is_hex(c) && is_uuid(l)) return take(l, 36, CQL__SIM_UUID, out);
  if (is_letter(c)) return lex_word(l, out);
  return lex_mark(l, out);
}

cql__sim_token cql__sim_lex(cql__sim_lexer *l) {
  cql__sim_token token = {CQL__SIM_END, {NULL, 0}, l->next, l->next};
  if (!skip_blanks(l)) token.kind = CQL__SIM_BAD;
  token.start = l->next;
  if (token.kind == CQL__SIM_END && left(l)) token.kind = lex(l, &token);
  if (token.kind == CQL__SIM_BAD) l->next = l->end;
  token.end = l->next;
  return token;
}
