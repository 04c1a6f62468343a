#include "message/dump.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

#include "wire/proto.h"

enum { TEXT_MAX = 1000, BYTES_MAX = 32 }; /* what is shown of one value */

/* ---- saying ---- */

void cql__dump_say(cql__dump *d, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  size_t room = d->used < d->size ? d->size - d->used : 0;
  int length = vsnprintf(room ? d->out + d->used : NULL, room, format, arguments);
  va_end(arguments);
  if (length > 0) d->used += (size_t)length;
}

/* Bytes of UTF-8 pass as they are; what would move a terminal's cursor is escaped. */
static void say_characters(cql__dump *d, cql_slice_t text) {
  int32_t shown = text.length < TEXT_MAX ? text.length : TEXT_MAX;
  for (int32_t i = 0; i < shown; i++) {
    uint8_t c = text.data[i];
    if (c == '"' || c == '\\')
      cql__dump_say(d, "\\%c", c);
    else
      cql__dump_say(d, c < 0x20 || c == 0x7F ? "\\x%02x" : "%c", c);
  }
  if (shown < text.length) cql__dump_say(d, "...(%d bytes)", (int)text.length);
}

void cql__dump_plain(cql__dump *d, cql_slice_t text) { say_characters(d, text); }

void cql__dump_text(cql__dump *d, cql_slice_t text) {
  cql__dump_say(d, "\"");
  say_characters(d, text);
  cql__dump_say(d, "\"");
}

void cql__dump_bytes(cql__dump *d, cql_slice_t bytes) {
  if (bytes.length <= 0) {
    cql__dump_say(d, bytes.length == CQL_UNSET ? "unset" : bytes.length < 0 ? "null" : "empty");
    return;
  }
  int32_t shown = bytes.length < BYTES_MAX ? bytes.length : BYTES_MAX;
  for (int32_t i = 0; i < shown; i++) cql__dump_say(d, "%02x", bytes.data[i]);
  if (shown < bytes.length) cql__dump_say(d, "...(%d bytes)", (int)bytes.length);
}

/* ---- lines ---- */

void cql__dump_number(cql__dump *d, const char *name, int64_t number) {
  if (!d->c.broken) cql__dump_say(d, "\n  %s: %lld", name, (long long)number);
}

void cql__dump_string(cql__dump *d, const char *name, cql_slice_t text) {
  if (d->c.broken) return;
  cql__dump_say(d, "\n  %s: ", name);
  cql__dump_text(d, text);
}

void cql__dump_value(cql__dump *d, const char *name, cql_slice_t bytes) {
  if (d->c.broken) return;
  cql__dump_say(d, "\n  %s: ", name);
  cql__dump_bytes(d, bytes);
}

void cql__dump_varying(cql__dump *d, const char *name, cql_slice_t bytes) {
  if (!d->blank)
    cql__dump_value(d, name, bytes);
  else if (!d->c.broken)
    cql__dump_say(d, "\n  %s: <%s>", name, name);
}

void cql__dump_consistency(cql__dump *d, const char *name) {
  static const char *const names[] = {"ANY",    "ONE",          "TWO",          "THREE",
                                      "QUORUM", "ALL",          "LOCAL_QUORUM", "EACH_QUORUM",
                                      "SERIAL", "LOCAL_SERIAL", "LOCAL_ONE"};
  uint16_t number = cql__read_u16(&d->c);
  if (number > CQL_LOCAL_ONE)
    cql__dump_number(d, name, number);
  else if (!d->c.broken)
    cql__dump_say(d, "\n  %s: %s", name, names[number]);
}

void cql__dump_one_string(cql__dump *d) {
  cql_slice_t text = cql__read_short_bytes(&d->c);
  if (!d->c.broken) cql__dump_text(d, text);
}

void cql__dump_one_value(cql__dump *d) {
  cql_slice_t bytes = cql__read_bytes(&d->c);
  if (!d->c.broken) cql__dump_bytes(d, bytes);
}

void cql__dump_strings(cql__dump *d) {
  uint16_t count = cql__read_u16(&d->c);
  for (uint16_t i = 0; i < count && !d->c.broken; i++) {
    if (i) cql__dump_say(d, ", ");
    cql__dump_one_string(d);
  }
}

void cql__dump_string_list(cql__dump *d, const char *name) {
  if (d->c.broken) return;
  cql__dump_say(d, "\n  %s: ", name);
  cql__dump_strings(d);
}

void cql__dump_pairs(cql__dump *d, const char *name, void (*say_value)(cql__dump *d)) {
  for (uint16_t left = cql__read_u16(&d->c); left && !d->c.broken; left--) {
    cql_slice_t key = cql__read_short_bytes(&d->c);
    if (d->c.broken) return;
    cql__dump_say(d, "\n  %s ", name);
    cql__dump_plain(d, key);
    cql__dump_say(d, ": ");
    say_value(d);
  }
}

/* ---- the envelope ---- */

static const char *opcode_name(int opcode) {
  switch (opcode) {
#define NAME_CASE(name, number)                                                                    \
  case number: return #name;
    CQL__OPCODE_MAP(NAME_CASE)
#undef NAME_CASE
    default: return NULL;
  }
}

static void say_flags(cql__dump *d, unsigned flags) {
  static const char *const names[] = {"compressed", "tracing", "payload", "warnings", "beta"};
  for (unsigned bit = 0; bit < 8; bit++) {
    if (!(flags >> bit & 1)) continue;
    if (bit < 5)
      cql__dump_say(d, ", %s", names[bit]);
    else
      cql__dump_say(d, ", flag 0x%02x", 1u << bit);
  }
}

static void say_header(cql__dump *d, const uint8_t *header) {
  int stream = (int16_t)cql__get_u16(header + 2);
  const char *name = opcode_name(header[4]);
  cql__dump_say(d, "v%d %s ", d->version, header[0] & 0x80 ? "response" : "request");
  if (name)
    cql__dump_say(d, "%s", name);
  else
    cql__dump_say(d, "of opcode 0x%02x", header[4]);
  if (d->blank && stream >= 0)
    cql__dump_say(d, ", stream <stream>");
  else
    cql__dump_say(d, ", stream %d", stream);
  say_flags(d, header[1]);
  cql__dump_say(d, ", %lld bytes", (long long)(int32_t)cql__get_u32(header + 5));
}

/* What the flags put before the fields; requests have a payload at most. */
static void say_prefix(cql__dump *d, int is_response, unsigned flags) {
  if (is_response && flags & CQL__FLAG_TRACING) {
    const uint8_t *id = cql__read_raw(&d->c, 16);
    cql__dump_varying(d, "tracing id", (cql_slice_t){id, 16});
  }
  if (d->version < 4) return;
  if (is_response && flags & CQL__FLAG_WARNINGS) cql__dump_string_list(d, "warnings");
  if (flags & CQL__FLAG_PAYLOAD) cql__dump_pairs(d, "payload", cql__dump_one_value);
}

static void say_body(cql__dump *d, const uint8_t *header) {
  int is_response = header[0] >> 7;
  /* v5 compresses segments; there the bit means nothing. */
  if (header[1] & CQL__FLAG_COMPRESSED && d->version < 5) {
    cql_slice_t all = {d->c.next, (int32_t)cql__cursor_left(&d->c)};
    cql__dump_value(d, "compressed", all);
    return;
  }
  say_prefix(d, is_response, header[1]);
  if (is_response)
    cql__dump_response(d, header[4]);
  else
    cql__dump_request(d, header[4]);
}

int cql__message_dump(const uint8_t *envelope, size_t length, int blank, char *out, size_t size) {
  cql__dump d = {.out = out, .size = size, .blank = blank};
  if (size) out[0] = 0;
  if (length < CQL__HEADER_SIZE) {
    cql__dump_say(&d, "truncated: %d of the header's 9 bytes", (int)length);
    return (int)d.used;
  }
  const uint8_t *body = envelope + CQL__HEADER_SIZE;
  int32_t claimed = (int32_t)cql__get_u32(envelope + 5);
  size_t here = length - CQL__HEADER_SIZE, wanted = claimed < 0 ? 0 : (size_t)claimed;
  d.version = envelope[0] & 0x7F;
  d.c = cql__cursor_of(body, here < wanted ? here : wanted);
  say_header(&d, envelope);
  say_body(&d, envelope);
  if (here < wanted)
    cql__dump_say(&d, "\n  truncated: %zu of %zu bytes are here", here, wanted);
  else if (d.c.broken || claimed < 0)
    cql__dump_say(&d, "\n  malformed");
  return d.used < INT_MAX ? (int)d.used : INT_MAX;
}
