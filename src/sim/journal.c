#include "sim/journal.h"

#include <stdarg.h>
#include <stdio.h>

#include "message/dump.h"
#include "sim/world.h"
#include "wire/proto.h"

/* ---- the journal ---- */

static cql_slice_t copied(cql_slice_t text) {
  if (text.length < 0) return text;
  return (cql_slice_t){(uint8_t *)cql__sim_text(text.data, (size_t)text.length), text.length};
}

static void drop(const cql_sim_asked_t *asked) {
  if (asked->text.length >= 0) cql__sim_release((void *)(uintptr_t)asked->text.data);
  if (asked->keyspace.length >= 0) cql__sim_release((void *)(uintptr_t)asked->keyspace.data);
}

int64_t cql__sim_journal_add(cql__sim_journal *journal, const cql_sim_asked_t *asked) {
  size_t at = (size_t)(journal->count % CQL__SIM_JOURNAL_MAX);
  if (journal->count >= CQL__SIM_JOURNAL_MAX)
    drop(&journal->asked[at]);
  else
    journal->asked = cql__sim_grow(journal->asked, at, &journal->capacity, sizeof *asked);
  journal->asked[at] = *asked;
  journal->asked[at].text = copied(asked->text);
  journal->asked[at].keyspace = copied(asked->keyspace);
  return journal->count++;
}

cql_sim_asked_t *cql__sim_journal_at(cql__sim_journal *journal, int64_t index) {
  if (index < 0 || index >= journal->count || index < journal->count - CQL__SIM_JOURNAL_MAX)
    return NULL;
  return &journal->asked[index % CQL__SIM_JOURNAL_MAX];
}

void cql__sim_journal_free(cql__sim_journal *journal) {
  int64_t count = journal->count < CQL__SIM_JOURNAL_MAX ? journal->count : CQL__SIM_JOURNAL_MAX;
  for (int64_t i = 0; i < count; i++) drop(&journal->asked[i]);
  cql__sim_release(journal->asked);
  cql__sim_buffer_free(&journal->trace);
}

/* ---- the trace ---- */

void cql__sim_trace_line(cql_sim_t *sim, const char *format, ...) {
  if (!sim->journal.level) return;
  char text[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  int64_t now = sim->clock.now;
  cql__sim_print(&sim->journal.trace, "%lld.%06lld %s\n", (long long)(now / 1000000),
                 (long long)(now % 1000000), text);
}

static const char *opcode_name(int opcode) {
  switch (opcode) {
#define NAME_CASE(name, number)                                                                    \
  case number: return #name;
    CQL__OPCODE_MAP(NAME_CASE)
#undef NAME_CASE
    default: return "of an unknown opcode";
  }
}

void cql__sim_trace_message(cql_sim_t *sim, const char *node, int connection, int to_client,
                            const uint8_t *header, const uint8_t *body, size_t size) {
  if (!sim->journal.level) return;
  int stream = (int16_t)cql__get_u16(header + 2);
  cql__sim_trace_line(sim, "%s.c%d %s %s stream %d, %zu bytes", node, connection,
                      to_client ? "->" : "<-", opcode_name(header[4]), stream, size);
  if (sim->journal.level < 2) return;
  cql__sim_buffer whole = {0};
  cql__sim_put(&whole, header, CQL__HEADER_SIZE);
  cql__sim_put(&whole, body, size);
  cql__sim_patch_u32(&whole, 5, (uint32_t)size);
  whole.data[1] &= (uint8_t)~CQL__FLAG_COMPRESSED; /* the body is plain by now */
  char text[4096];
  cql__message_dump(cql__sim_bytes(&whole), cql__sim_size(&whole), 0, text, sizeof text);
  cql__sim_print(&sim->journal.trace, "%s\n", text);
  cql__sim_buffer_free(&whole);
}

/* ---- the public half ---- */

int64_t cql_sim_asked_count(const cql_sim_t *sim) { return sim->journal.count; }

int cql_sim_asked(cql_sim_t *sim, int64_t index, cql_sim_asked_t *out) {
  const cql_sim_asked_t *found = cql__sim_journal_at(&sim->journal, index);
  if (!found) return cql__sim_mistake(sim, CQL_EINVAL, "no request %lld", (long long)index);
  *out = *found;
  return 0;
}

int cql_sim_trace(cql_sim_t *sim, int level) {
  if (level < 0 || level > 2) return cql__sim_mistake(sim, CQL_EINVAL, "levels are 0, 1 and 2");
  sim->journal.level = level;
  return 0;
}

int cql_sim_trace_take(cql_sim_t *sim, char *out, size_t size) {
  cql__sim_buffer *trace = &sim->journal.trace;
  size_t left = cql__sim_size(trace), taken = left < size ? left : size;
  const uint8_t *from = cql__sim_bytes(trace);
  if (taken > INT32_MAX) taken = INT32_MAX;
  size_t whole = taken;
  while (taken < left && whole && from[whole - 1] != '\n') whole--;
  if (whole) taken = whole;
  if (!taken) return 0;
  memcpy(out, from, taken);
  cql__sim_drop(trace, taken);
  return (int)taken;
}
