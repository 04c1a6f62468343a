/* Results of the store: how they are made, also by scripts. */
#include <stdarg.h>
#include <stdio.h>

#include "sim/run.h"

static const cql_slice_t none = {NULL, CQL_NULL};

cql__sim_result *cql__sim_result_new(void) {
  cql__sim_result *out = cql__sim_alloc(sizeof *out);
  out->seen.kind = CQL_RESULT_VOID;
  out->seen.paging_state = out->seen.keyspace = out->seen.table = out->seen.rows = none;
  return out;
}

void cql__store_result_free(cql__store_result *result) {
  if (!result) return;
  cql__sim_result *out = (cql__sim_result *)result;
  cql__sim_buffer_free(&out->rows);
  cql__sim_region_free(&out->region);
  cql__sim_release(out);
}

int cql__store_fail_with(cql__sim_result *out, int code, cql__sim_buffer *why) {
  if (out->seen.kind != CQL_RESULT_ERROR) {
    out->seen.kind = CQL_RESULT_ERROR;
    out->seen.error_code = code;
    out->seen.message = cql__sim_region_text(&out->region, cql__sim_bytes(why), cql__sim_size(why));
  }
  cql__sim_buffer_free(why);
  return CQL_EVALUE;
}

int cql__store_fail(cql__sim_result *out, int code, const char *format, ...) {
  char text[512];
  cql__sim_buffer why = {0};
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  cql__sim_print(&why, "%s", text);
  return cql__store_fail_with(out, code, &why);
}

void cql__sim_rows_begin(cql__sim_result *out, const cql_column_t *columns, uint32_t count) {
  cql_column_t *copy = cql__sim_region_take(&out->region, count * sizeof *copy);
  for (uint32_t i = 0; i < count; i++) {
    copy[i] = columns[i];
    copy[i].name = cql__sim_keep(&out->region, columns[i].name); /* it may be the statement's */
  }
  out->seen.columns = copy;
  out->seen.column_count = count;
}

void cql__sim_rows_end(cql__sim_result *out) {
  if (out->seen.kind == CQL_RESULT_ERROR) return;
  out->seen.kind = CQL_RESULT_ROWS;
  out->seen.rows = cql__sim_slice(&out->rows);
}

/* ---- rows that scripts write ---- */

/* One "name type" up to a comma that isn't within <>. */
static cql_slice_t next_part(cql_slice_t *text) {
  int32_t at = 0, open = 0;
  for (; at < text->length; at++) {
    uint8_t c = text->data[at];
    open += (c == '<') - (c == '>');
    if (c == ',' && open == 0) break;
  }
  cql_slice_t part = {text->data, at};
  int32_t used = at < text->length ? at + 1 : at;
  *text = (cql_slice_t){text->data + used, text->length - used};
  return part;
}

static int read_column(const cql__sim_type_source *source, cql_slice_t part, cql_column_t *column,
                       cql__sim_buffer *why) {
  cql__sim_lexer lexer = {source->region, part.data, part.data + part.length};
  cql__sim_token token = cql__sim_lex(&lexer);
  if (token.kind != CQL__SIM_WORD && token.kind != CQL__SIM_QUOTED) {
    cql__sim_print(why, "'%.*s' is no column", CQL__SIM_SHOW(part));
    return CQL_EVALUE;
  }
  column->name = cql__sim_keep(source->region, token.text);
  cql_slice_t type = {token.end, (int32_t)(part.data + part.length - token.end)};
  return cql__sim_type_parse(source, type, &column->type, NULL, why);
}

cql__store_result *cql__store_columns(cql__store *store, cql_slice_t keyspace, cql_slice_t text) {
  cql__sim_result *out = cql__sim_result_new();
  cql__sim_type_source source = cql__sim_types_of(&store->schema, &out->region, keyspace);
  cql__sim_buffer why = {0};
  uint32_t count = 1;
  for (int32_t i = 0; i < text.length; i++) count += text.data[i] == ',';
  cql_column_t *columns = cql__sim_region_take(&out->region, count * sizeof *columns);
  uint32_t used = 0;
  int error = 0;
  do {
    columns[used].keyspace = columns[used].table = (cql_slice_t){NULL, 0};
    error = read_column(&source, next_part(&text), &columns[used++], &why);
  } while (!error && text.length > 0);
  if (error) {
    cql__store_fail_with(out, CQL__SIM_INVALID, &why);
    return &out->seen;
  }
  cql__sim_buffer_free(&why);
  cql__sim_rows_begin(out, columns, used);
  cql__sim_rows_end(out);
  return &out->seen;
}

int cql__store_columns_add(cql__store_result *rows, cql_slice_t text) {
  cql__sim_result *out = (cql__sim_result *)rows;
  cql__rand rand;
  cql__rand_seed(&rand, 1);
  cql__sim_buffer why = {0}, row = {0};
  cql__sim_values values = {.region = &out->region, .rand = &rand, .why = &why};
  const char *copy =
      cql__sim_region_text(&out->region, text.data, (size_t)(text.length > 0 ? text.length : 0));
  const cql__sim_term *term = cql__sim_parse_terms(&out->region, copy, &why);
  int error = term ? 0 : CQL_EVALUE;
  for (uint32_t i = 0; i < rows->column_count && !error; i++, term = term->next) {
    cql_slice_t value;
    values.receiver = rows->columns[i].name;
    if (!term) {
      cql__sim_print(&why, "there are more columns than values");
      error = CQL_EVALUE;
      break;
    }
    error = cql__sim_value(&values, &rows->columns[i].type, term, &value);
    if (!error) cql__sim_put_bytes(&row, value);
  }
  if (!error && term) {
    cql__sim_print(&why, "there are more values than columns");
    error = CQL_EVALUE;
  }
  if (error) {
    rows->message = cql__sim_region_text(&out->region, cql__sim_bytes(&why), cql__sim_size(&why));
  } else {
    cql__sim_put(&out->rows, cql__sim_bytes(&row), cql__sim_size(&row));
    rows->rows = cql__sim_slice(&out->rows);
    rows->row_count++;
  }
  cql__sim_buffer_free(&why);
  cql__sim_buffer_free(&row);
  return error;
}
