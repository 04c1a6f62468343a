#include "message/errors.h"

#include "message/response.h"

/* The letters are those of cql__error_fields(). */
static const struct {
  int32_t code;
  const char *name;
  const char *fields; /* of v3 and v4 */
  const char *fields_v5;
} errors[] = {
    {0x0000, "SERVER_ERROR", "", ""},
    {0x000A, "PROTOCOL_ERROR", "", ""},
    {0x0100, "BAD_CREDENTIALS", "", ""},
    {0x1000, "UNAVAILABLE", "cqr", "cqr"},
    {0x1001, "OVERLOADED", "", ""},
    {0x1002, "IS_BOOTSTRAPPING", "", ""},
    {0x1003, "TRUNCATE_ERROR", "", ""},
    {0x1100, "WRITE_TIMEOUT", "crqw", "crqwt"},
    {0x1200, "READ_TIMEOUT", "crqd", "crqd"},
    {0x1300, "READ_FAILURE", "crqnd", "crqmd"},
    {0x1400, "FUNCTION_FAILURE", "kba", "kba"},
    {0x1500, "WRITE_FAILURE", "crqnw", "crqmw"},
    {0x1600, "CDC_WRITE_FAILURE", "", ""},
    {0x1700, "CAS_WRITE_UNKNOWN", "crq", "crq"},
    {0x2000, "SYNTAX_ERROR", "", ""},
    {0x2100, "UNAUTHORIZED", "", ""},
    {0x2200, "INVALID", "", ""},
    {0x2300, "CONFIG_ERROR", "", ""},
    {0x2400, "ALREADY_EXISTS", "kb", "kb"},
    {0x2500, "UNPREPARED", "u", "u"},
    {CQL_RATE_LIMIT_ERROR, "RATE_LIMIT_ERROR", "oj", "oj"},
};

enum { ERROR_COUNT = sizeof errors / sizeof *errors };

const char *cql__server_error_name(int code) {
  for (unsigned i = 0; i < ERROR_COUNT; i++)
    if (errors[i].code == code) return errors[i].name;
  return "UNKNOWN";
}

int cql__error_is_known(int code) {
  for (unsigned i = 0; i < ERROR_COUNT; i++)
    if (errors[i].code == code) return 1;
  return 0;
}

const char *cql__error_fields(int code, int version) {
  for (unsigned i = 0; i < ERROR_COUNT; i++)
    if (errors[i].code == code) return version >= 5 ? errors[i].fields_v5 : errors[i].fields;
  return "";
}

int cql__error_open(cql__cursor *body, int32_t *code, cql_slice_t *message) {
  *code = cql__read_i32(body);
  *message = cql__read_short_bytes(body);
  return body->broken ? CQL_EMALFORMED : 0;
}

/* v5: n x (inetaddr, short), kept as it stands without its count. */
static void read_reasons(cql__cursor *body, cql_error_detail_t *out) {
  int32_t count = cql__read_i32(body);
  const uint8_t *start = body->next;
  if (count < 0 || (uint64_t)(uint32_t)count * 7 > cql__cursor_left(body)) body->broken = 1;
  for (int32_t i = 0; i < count && !body->broken; i++) {
    uint8_t size = cql__read_u8(body);
    if (size != 4 && size != 16) body->broken = 1;
    cql__read_raw(body, (size_t)size + 2);
  }
  if (body->broken) return;
  out->failures = count;
  out->reasons = (cql_slice_t){start, (int32_t)(body->next - start)};
}

static void read_field(char field, cql__cursor *body, cql_error_detail_t *out) {
  switch (field) {
    case 'c': out->consistency = cql__read_u16(body); break;
    case 'r': out->received = cql__read_i32(body); break;
    case 'q': out->required = cql__read_i32(body); break;
    case 'd': out->data_present = cql__read_u8(body) != 0; break;
    case 'w': out->write_type = cql__read_short_bytes(body); break;
    case 't': /* of compare-and-set alone */
      if (cql__slice_is(out->write_type, "CAS")) out->contentions = cql__read_u16(body);
      break;
    case 'n': out->failures = cql__read_i32(body); break;
    case 'm': read_reasons(body, out); break;
    case 'k': out->keyspace = cql__read_short_bytes(body); break;
    case 'b': out->table = cql__read_short_bytes(body); break;
    case 'a': out->arguments = cql__read_string_list(body); break;
    case 'o': out->operation = cql__read_u8(body); break;
    case 'j': out->rejected_by_coordinator = cql__read_u8(body) != 0; break;
    case 'u': out->unknown_id = cql__read_short_bytes(body); break;
    default: break;
  }
}

int cql__error_detail(int32_t code, int version, cql__cursor body, cql_error_detail_t *out) {
  memset(out, 0, sizeof *out);
  out->consistency = out->operation = -1;
  cql_slice_t none = {NULL, CQL_NULL};
  out->write_type = out->keyspace = out->table = out->arguments = none;
  out->reasons = out->unknown_id = none;
  for (const char *field = cql__error_fields(code, version); *field && !body.broken; field++) {
    cql_error_detail_t before = *out;
    read_field(*field, &body, out);
    if (body.broken) *out = before; /* half a field is none */
  }
  return body.broken ? CQL_EMALFORMED : 0;
}
