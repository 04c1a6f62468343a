/* canned_statement.h - statements of the canned server. A text is read once; from then on its
 * answers lie ready, so that answering is little more than a copy.
 *
 * SELECT of whole columns of a table of canned_table.h answers rows (WHERE and LIMIT are read for
 * their markers alone), USE its keyspace, and everything else VOID.
 */
#ifndef BENCH_CANNED_STATEMENT_H
#define BENCH_CANNED_STATEMENT_H

#include "canned_table.h"

enum { COLUMNS_MAX = 64, MARKERS_MAX = 64, WORDS_MAX = 512, WORD_SIZE = 64 };
enum { ID_SIZE = 16, VERSION_MIN = 3, VERSION_MAX = 5, BUCKETS = 4096 };

typedef enum { ANSWER_VOID, ANSWER_ROWS, ANSWER_KEYSPACE, ANSWER_ERROR } answer_t;

typedef struct statement_s {
  char *text;
  size_t length;
  uint64_t hash;
  uint32_t index;
  struct statement_s *next; /* of its bucket */

  answer_t answer;
  char word[WORD_SIZE]; /* the keyspace, or what the error is about */
  const char *error;
  const table_t *table; /* NULL: none, or unknown */
  const column_t *columns[COLUMNS_MAX];
  int column_count;
  struct {
    const char *name;
    int type;
    bool is_key;
  } markers[MARKERS_MAX];
  int marker_count;

  bytes_t prepared[VERSION_MAX + 1]; /* the body of PREPARED, by version */
  bytes_t body;                      /* the body of RESULT */
  bytes_t bare;                      /* the same without metadata */
  bytes_t cells;                     /* all rows; row i begins at row_at[i] */
  size_t *row_at;
  int row_count;
  size_t echo_length;  /* of the key's cell, if a bound key takes its place; else 0 */
  size_t mark_at;      /* from that cell on: where the value is that gets the key too, or 0 */
  size_t echo_in_body; /* where that cell is */
  size_t echo_in_bare;
} statement_t;

static statement_t *statement_buckets[BUCKETS];
static statement_t **statements; /* by index */
static uint32_t statement_count;

/* ---- words ---- */

typedef struct words_s {
  char at[WORDS_MAX][WORD_SIZE];
  int count;
} words_t;

static bool is_word(int character) { return isalnum(character) || character == '_'; }

/* Names, numbers and keywords in lower case, what is quoted as it stands, and symbols one by one.
 * What is longer than a word can hold is cut. */
static void split(const char *text, size_t length, words_t *out) {
  const char *end = text + length;
  out->count = 0;
  while (text < end && out->count < WORDS_MAX) {
    if (isspace((unsigned char)*text)) {
      text++;
      continue;
    }
    char quote = *text == '"' || *text == '\'' ? *text : 0, *word = out->at[out->count++];
    int used = 0;
    if (quote) {
      for (text++; text < end && *text != quote; text++) {
        if (used < WORD_SIZE - 1) word[used++] = *text;
      }
      text++;
    } else if (is_word((unsigned char)*text)) {
      for (; text < end && is_word((unsigned char)*text); text++) {
        if (used < WORD_SIZE - 1) word[used++] = (char)tolower((unsigned char)*text);
      }
    } else {
      word[used++] = *text++;
    }
    word[used] = 0;
  }
}

static bool word_is(const words_t *words, int index, const char *text) {
  return index >= 0 && index < words->count && !strcmp(words->at[index], text);
}

/* ---- what a statement asks ---- */

static void refuse(statement_t *statement, const char *error, const char *word) {
  statement->answer = ANSWER_ERROR;
  statement->error = error;
  snprintf(statement->word, WORD_SIZE, "%s", word);
}

/* `name` or `keyspace.name` at `index`: the word after it. */
static int read_table(statement_t *statement, const words_t *words, int index) {
  if (index >= words->count) return index;
  const char *keyspace = "", *name = words->at[index];
  if (word_is(words, index + 1, ".") && index + 2 < words->count) {
    keyspace = name;
    name = words->at[index + 2];
    index += 2;
  }
  statement->table = table_find(keyspace, name);
  if (!statement->table) refuse(statement, "unconfigured table ", name);
  return index + 1;
}

/* What stands between SELECT and FROM. */
static void read_columns(statement_t *statement, const words_t *words, int from) {
  const table_t *table = statement->table;
  for (int i = 1; i < from; i++) {
    if (word_is(words, i, ",")) continue;
    if (word_is(words, i, "*")) {
      for (int k = 0; k < table->column_count; k++) statement->columns[k] = &table->columns[k];
      statement->column_count = table->column_count;
      continue;
    }
    const column_t *column = table_column(table, words->at[i]);
    if (!column || statement->column_count == COLUMNS_MAX) {
      refuse(statement, "Undefined column name ", words->at[i]);
      return;
    }
    statement->columns[statement->column_count++] = column;
  }
}

static void add_marker(statement_t *statement, const column_t *column) {
  if (statement->marker_count == MARKERS_MAX) return;
  int index = statement->marker_count++;
  statement->markers[index].name = column ? column->name : "arg";
  statement->markers[index].type = column ? column->type : TYPE_TEXT;
  statement->markers[index].is_key = column && !strcmp(column->name, statement->table->key);
}

/* A marker belongs to the column named last before it; in `(a, b) VALUES (?, ?)`, where all values
 * are markers, to the column in its place. */
static void read_markers(statement_t *statement, const words_t *words, int index, bool in_order) {
  const column_t *named[COLUMNS_MAX], *last = NULL;
  int count = 0, used = 0;
  for (; index < words->count; index++) {
    const column_t *column = table_column(statement->table, words->at[index]);
    if (word_is(words, index, "?")) {
      add_marker(statement, in_order ? used < count ? named[used++] : NULL : last);
    } else if (column) {
      last = column;
      if (count < COLUMNS_MAX) named[count++] = column;
    }
  }
}

static void statement_read(statement_t *statement) {
  static words_t words;
  split(statement->text, statement->length, &words);
  bool select = word_is(&words, 0, "select"), insert = word_is(&words, 0, "insert");
  if (word_is(&words, 0, "use")) {
    statement->answer = ANSWER_KEYSPACE;
    snprintf(statement->word, WORD_SIZE, "%s", words.count > 1 ? words.at[1] : "");
    return;
  }
  int before = 0; /* the word before the table's name */
  while (before < words.count && !word_is(&words, before, "from") &&
         !word_is(&words, before, "into") && !word_is(&words, before, "update")) {
    before++;
  }
  if (before == words.count) return;
  int after = read_table(statement, &words, before + 1);
  if (statement->table && select) {
    statement->answer = ANSWER_ROWS;
    read_columns(statement, &words, before);
  }
  if (!select) statement->answer = ANSWER_VOID; /* also of tables that aren't here */
  if (statement->answer != ANSWER_ERROR) read_markers(statement, &words, after, insert);
}

/* ---- its answers ---- */

static void metadata_encode(bytes_t *out, const statement_t *statement, bool bare,
                            const bytes_t *paging_state) {
  uint32_t flags = bare ? ROWS_NO_METADATA : ROWS_GLOBAL_TABLE;
  bytes_add32(out, flags | (paging_state ? ROWS_MORE_PAGES : 0));
  bytes_add32(out, (uint32_t)statement->column_count);
  if (paging_state) {
    bytes_add32(out, (uint32_t)paging_state->length);
    bytes_add(out, paging_state->data, paging_state->length);
  }
  if (bare) return;
  bytes_add_string(out, statement->table->keyspace);
  bytes_add_string(out, statement->table->name);
  for (int i = 0; i < statement->column_count; i++) {
    bytes_add_string(out, statement->columns[i]->name);
    type_encode(out, statement->columns[i]->type);
  }
}

static void make_rows(statement_t *statement) {
  const table_t *table = statement->table;
  bytes_t *cells = &statement->cells;
  size_t echo_at = 0;
  statement->row_count = table->row_count;
  statement->row_at = calloc((size_t)table->row_count + 1, sizeof *statement->row_at);
  if (!statement->row_at) abort();
  bool echoes = table->generated && table->row_count == 1 && statement->marker_count &&
                statement->markers[0].is_key;
  for (int row = 0; row < table->row_count; row++) {
    statement->row_at[row] = cells->length;
    for (int i = 0; i < statement->column_count; i++) {
      size_t before = cells->length;
      cell_encode(cells, table, statement->columns[i], row);
      if (echoes && !strcmp(statement->columns[i]->name, table->key)) {
        echo_at = before;
        statement->echo_length = cells->length - before;
      } else if (statement->echo_length && !statement->mark_at && cells->length - before > 8) {
        statement->mark_at = before + 4 - echo_at;
      }
    }
  }
  statement->row_at[table->row_count] = cells->length;
  for (int bare = 0; bare < 2; bare++) {
    bytes_t *out = bare ? &statement->bare : &statement->body;
    bytes_add32(out, RESULT_ROWS);
    metadata_encode(out, statement, bare, NULL);
    bytes_add32(out, (uint32_t)table->row_count);
    *(bare ? &statement->echo_in_bare : &statement->echo_in_body) = out->length + echo_at;
    bytes_add(out, cells->data, cells->length);
  }
}

static void id_make(const statement_t *statement, uint8_t out[ID_SIZE]) {
  memcpy(out, &statement->index, 4);
  memcpy(out + 4, "cann", 4);
  memcpy(out + 8, &statement->hash, 8);
}

static void prepared_encode(bytes_t *out, const statement_t *statement, int version) {
  uint8_t id[ID_SIZE];
  id_make(statement, id);
  bytes_add32(out, RESULT_PREPARED);
  bytes_add16(out, ID_SIZE);
  bytes_add(out, id, ID_SIZE);
  if (version >= 5) { /* the id of its rows' metadata */
    id[7] = 'r';
    bytes_add16(out, ID_SIZE);
    bytes_add(out, id, ID_SIZE);
  }
  int markers = statement->marker_count, keys = 0;
  bytes_add32(out, markers ? ROWS_GLOBAL_TABLE : 0);
  bytes_add32(out, (uint32_t)markers);
  for (int i = 0; i < markers; i++) keys += statement->markers[i].is_key;
  if (version >= 4) {
    bytes_add32(out, (uint32_t)keys);
    for (int i = 0; i < markers; i++) {
      if (statement->markers[i].is_key) bytes_add16(out, (unsigned)i);
    }
  }
  if (markers) {
    bytes_add_string(out, statement->table ? statement->table->keyspace : "ks");
    bytes_add_string(out, statement->table ? statement->table->name : "unknown");
  }
  for (int i = 0; i < markers; i++) {
    bytes_add_string(out, statement->markers[i].name);
    type_encode(out, statement->markers[i].type);
  }
  metadata_encode(out, statement, statement->answer != ANSWER_ROWS, NULL);
}

/* ---- the collection ---- */

static uint64_t text_hash(const char *text, size_t length) {
  uint64_t hash = 0x9E3779B97F4A7C15u ^ length, piece;
  for (; length >= 8; text += 8, length -= 8) {
    memcpy(&piece, text, 8);
    hash = (hash ^ piece) * 0xFF51AFD7ED558CCDu;
    hash ^= hash >> 32;
  }
  piece = 0;
  memcpy(&piece, text, length);
  hash = (hash ^ piece) * 0xC4CEB9FE1A85EC53u;
  return hash ^ hash >> 29;
}

static statement_t *statement_new(const char *text, size_t length, uint64_t hash) {
  statement_t *statement = calloc(1, sizeof *statement);
  statement_t **all = realloc(statements, (statement_count + 1) * sizeof(statement_t *));
  if (!statement || !all) abort();
  statement->text = malloc(length + 1);
  if (!statement->text) abort();
  memcpy(statement->text, text, length);
  statement->text[length] = 0;
  statement->length = length;
  statement->hash = hash;
  statement->index = statement_count;
  statements = all;
  statements[statement_count++] = statement;
  statement_read(statement);
  if (statement->answer == ANSWER_ROWS) make_rows(statement);
  if (statement->answer == ANSWER_VOID) {
    bytes_add32(&statement->body, RESULT_VOID);
    bytes_add32(&statement->bare, RESULT_VOID);
  }
  if (statement->answer == ANSWER_KEYSPACE) {
    bytes_add32(&statement->body, RESULT_KEYSPACE);
    bytes_add_string(&statement->body, statement->word);
    bytes_add(&statement->bare, statement->body.data, statement->body.length);
  }
  for (int version = VERSION_MIN; version <= VERSION_MAX; version++) {
    prepared_encode(&statement->prepared[version], statement, version);
  }
  return statement;
}

/* The statement of this text, made at its first use. */
static statement_t *statement_get(const char *text, size_t length) {
  uint64_t hash = text_hash(text, length);
  statement_t **bucket = &statement_buckets[hash % BUCKETS];
  for (statement_t *statement = *bucket; statement; statement = statement->next) {
    bool same = statement->hash == hash && statement->length == length;
    if (same && !memcmp(statement->text, text, length)) return statement;
  }
  statement_t *statement = statement_new(text, length, hash);
  statement->next = *bucket;
  *bucket = statement;
  return statement;
}

/* NULL: nobody prepared it here. */
static inline statement_t *statement_of_id(const uint8_t *id, size_t length) {
  uint32_t index;
  if (length != ID_SIZE) return NULL;
  memcpy(&index, id, 4);
  if (index >= statement_count) return NULL;
  return memcmp(id + 8, &statements[index]->hash, 8) ? NULL : statements[index];
}

#endif
