/* Value: what is a value of a type, and how values are ordered. */
#include "sim/type.h"
#include "wire/types.h"
#include "wire/values.h"

/* ---- values ---- */

static int is_utf8(cql_slice_t text) {
  const uint8_t *at = text.data, *end = text.data + text.length;
  while (at < end) {
    uint8_t c = *at++;
    int more = c < 0x80                ? 0
               : c >= 0xC2 && c < 0xE0 ? 1
               : (c & 0xF0) == 0xE0    ? 2
               : c >= 0xF0 && c < 0xF5 ? 3
                                       : -1;
    if (more < 0 || end - at < more) return 0;
    if ((c == 0xE0 && *at < 0xA0) || (c == 0xED && *at > 0x9F) || (c == 0xF0 && *at < 0x90) ||
        (c == 0xF4 && *at > 0x8F))
      return 0;
    for (; more; more--)
      if ((*at++ & 0xC0) != 0x80) return 0;
  }
  return 1;
}

static int is_ascii(cql_slice_t text) {
  for (int32_t i = 0; i < text.length; i++)
    if (text.data[i] & 0x80) return 0;
  return 1;
}

static int allows_empty(int32_t kind) {
  switch (kind) {
    case CQL_DATE:
    case CQL_TIME:
    case CQL_SMALLINT:
    case CQL_TINYINT:
    case CQL_DURATION:
    case CQL_LIST:
    case CQL_SET:
    case CQL_MAP:
    case CQL_VECTOR: return 0;
    default: return 1;
  }
}

static int fits(const cql_type_t *type, cql_slice_t value, int depth);

static int by_field(const cql_type_t *type) {
  return type->kind == CQL_TUPLE || type->kind == CQL_UDT;
}

static const cql_type_t *child_at(const cql_type_t *type, uint32_t i) {
  return &type->children[by_field(type) ? i : type->kind == CQL_MAP ? i % 2 : 0];
}

/* The next item as it stands: 1, 0 at the end, < 0. */
static int next_item(cql_items_t *items, cql_slice_t *out) {
  cql_cell_t cell;
  int got = cql__items_next(items, &cell);
  int32_t length = got > 0 && cell.length > 0 ? cell.length : 0;
  *out = (cql_slice_t){items->next - length, got > 0 ? cell.length : CQL_NULL};
  return got;
}

/* Every item of it, none of them null but a tuple's and a UDT's. */
static int items_fit(const cql_type_t *type, cql_slice_t value, int depth) {
  cql_items_t items;
  if (depth > CQL__SIM_TYPE_DEPTH_MAX || cql__items_open(type, value.data, value.length, &items))
    return 0;
  for (uint32_t i = 0;; i++) {
    cql_slice_t item;
    int got = next_item(&items, &item);
    if (got <= 0) return got == 0;
    if (item.length < 0 && !by_field(type)) return 0;
    if (item.length >= 0 && !fits(child_at(type, i), item, depth + 1)) return 0;
  }
}

static int fits(const cql_type_t *type, cql_slice_t value, int depth) {
  cql_cell_t cell;
  if (value.length == 0) return allows_empty(type->kind);
  if (type->kind >= CQL_LIST) return items_fit(type, value, depth);
  if (cql__cell_read(type->kind, value.data, value.length, &cell)) return 0;
  if (type->kind == CQL_TEXT) return is_utf8(value);
  if (type->kind == CQL_ASCII) return is_ascii(value);
  if (type->kind == CQL_TIMEUUID) return value.data[6] >> 4 == 1;
  if (type->kind == CQL_TIME) return cell.as.integer >= 0 && cell.as.integer < 86400000000000;
  return 1;
}

/* What servers say of a value that doesn't fit; %d is its length. */
static const char *objection(const cql_type_t *type, cql_slice_t value) {
  switch (type->kind) {
    case CQL_INT: return "Expected 4 or 0 byte int (%d)";
    case CQL_BIGINT:
    case CQL_COUNTER: return "Expected 8 or 0 byte long (%d)";
    case CQL_SMALLINT: return "Expected 2 bytes for a smallint (%d)";
    case CQL_TINYINT: return "Expected 1 byte for a tinyint (%d)";
    case CQL_BOOLEAN: return "Expected 1 or 0 byte value (%d)";
    case CQL_DOUBLE: return "Expected 8 or 0 byte value for a double (%d)";
    case CQL_FLOAT: return "Expected 4 or 0 byte value for a float (%d)";
    case CQL_TIMESTAMP: return "Expected 8 or 0 byte long for date (%d)";
    case CQL_DATE: return "Expected 4 byte long for date (%d)";
    case CQL_TIME: return value.length == 8 ? NULL : "Expected 8 byte long for time (%d)";
    case CQL_UUID: return "UUID should be 16 or 0 bytes (%d)";
    case CQL_TIMEUUID:
      return value.length == 16 ? "Invalid version for TimeUUID type."
                                : "UUID should be 16 or 0 bytes (%d)";
    case CQL_TEXT: return "String didn't validate.";
    default: return NULL;
  }
}

int cql__sim_value_fits(const cql_type_t *type, cql_slice_t value, cql__sim_buffer *why) {
  if (fits(type, value, 0)) return 1;
  const char *said = objection(type, value);
  if (!said) {
    cql__sim_print(why, "Invalid value of %d bytes for type ", (int)value.length);
    cql__sim_put_type_name(why, type);
    return 0;
  }
  const char *hole = strstr(said, "%d");
  cql__sim_put(why, said, hole ? (size_t)(hole - said) : strlen(said));
  if (hole) cql__sim_print(why, "%d%s", (int)value.length, hole + 2);
  return 0;
}

/* ---- order ---- */

static int compare_bytes(cql_slice_t a, cql_slice_t b) {
  int32_t common = a.length < b.length ? a.length : b.length;
  int order = common > 0 ? memcmp(a.data, b.data, (size_t)common) : 0;
  return order ? order : a.length - b.length;
}

static int compare_real(double a, double b) {
  if (a != a || b != b) return (a != a) - (b != b); /* NaN is above all */
  return (a > b) - (a < b);
}

/* Two's complement of any length. */
static int compare_varint(cql_slice_t a, cql_slice_t b) {
  int a_negative = a.length && a.data[0] >> 7, b_negative = b.length && b.data[0] >> 7;
  if (a_negative != b_negative) return b_negative - a_negative;
  uint8_t fill = a_negative ? 0xFF : 0;
  int32_t longest = a.length > b.length ? a.length : b.length;
  for (int32_t i = longest; i > 0; i--) {
    uint8_t x = i > a.length ? fill : a.data[a.length - i];
    uint8_t y = i > b.length ? fill : b.data[b.length - i];
    if (x != y) return x - y;
  }
  return 0;
}

/* As near as a double comes, unless the scales are equal. */
static int compare_decimal(cql_slice_t a, cql_slice_t b) {
  cql_slice_t digits[2] = {{a.data + 4, a.length - 4}, {b.data + 4, b.length - 4}};
  int32_t scales[2] = {(int32_t)cql__get_u32(a.data), (int32_t)cql__get_u32(b.data)};
  if (scales[0] == scales[1]) return compare_varint(digits[0], digits[1]);
  double reals[2];
  for (int i = 0; i < 2; i++) {
    reals[i] = digits[i].length && digits[i].data[0] >> 7 ? -1 : 0;
    for (int32_t k = 0; k < digits[i].length; k++) reals[i] = reals[i] * 256 + digits[i].data[k];
    int32_t scale = scales[i] > 400 ? 400 : scales[i] < -400 ? -400 : scales[i];
    for (; scale > 0; scale--) reals[i] /= 10;
    for (; scale < 0; scale++) reals[i] *= 10;
  }
  return compare_real(reals[0], reals[1]);
}

/* The 60 bits of time in a uuid of version 1. */
static uint64_t uuid_time(const uint8_t *u) {
  return (uint64_t)(cql__get_u16(u + 6) & 0x0FFF) << 48 | (uint64_t)cql__get_u16(u + 4) << 32 |
         cql__get_u32(u);
}

static int compare_uuid(cql_slice_t a, cql_slice_t b) {
  int versions[2] = {a.data[6] >> 4, b.data[6] >> 4};
  if (versions[0] != versions[1]) return versions[0] - versions[1];
  if (versions[0] == 1) {
    uint64_t x = uuid_time(a.data), y = uuid_time(b.data);
    if (x != y) return x < y ? -1 : 1;
  }
  return compare_bytes(a, b);
}

static int compare_items(const cql_type_t *type, cql_slice_t a, cql_slice_t b);

static int compare_cells(const cql_type_t *type, cql_slice_t a, cql_slice_t b) {
  cql_cell_t x, y;
  int32_t kind = type->kind;
  if (kind >= CQL_LIST) return compare_items(type, a, b);
  if (cql__cell_read(kind, a.data, a.length, &x) || cql__cell_read(kind, b.data, b.length, &y))
    return compare_bytes(a, b);
  if (kind == CQL_UUID || kind == CQL_TIMEUUID) return compare_uuid(a, b);
  if (kind == CQL_VARINT) return compare_varint(a, b);
  if (kind == CQL_DECIMAL) return compare_decimal(a, b);
  if (kind == CQL_FLOAT || kind == CQL_DOUBLE) return compare_real(x.as.real, y.as.real);
  switch (kind) {
    case CQL_TEXT:
    case CQL_ASCII:
    case CQL_BLOB:
    case CQL_INET:
    case CQL_DURATION:
    case CQL_CUSTOM: return compare_bytes(a, b);
    default: return (x.as.integer > y.as.integer) - (x.as.integer < y.as.integer);
  }
}

/* Item by item; fewer items come first. */
static int compare_items(const cql_type_t *type, cql_slice_t a, cql_slice_t b) {
  cql_items_t items[2];
  if (cql__items_open(type, a.data, a.length, &items[0]) ||
      cql__items_open(type, b.data, b.length, &items[1]))
    return compare_bytes(a, b);
  for (uint32_t i = 0;; i++) {
    cql_slice_t x, y;
    int got[2] = {next_item(&items[0], &x), next_item(&items[1], &y)};
    if (got[0] < 0 || got[1] < 0) return compare_bytes(a, b);
    if (got[0] == 0 || got[1] == 0) return got[0] - got[1];
    int order = cql__sim_value_compare(child_at(type, i), x, y);
    if (order) return order;
  }
}

int cql__sim_value_compare(const cql_type_t *type, cql_slice_t a, cql_slice_t b) {
  if (a.length <= 0 || b.length <= 0) return a.length - b.length; /* null, then empty */
  return compare_cells(type, a, b);
}

/* ---- sets and maps in order ---- */

typedef struct entry {
  cql_slice_t key, value; /* with their lengths before them: as they stand */
  cql_slice_t item;       /* the key alone */
} entry;

/* The entries of a set or map whose bytes are known to be good. */
static uint32_t take_entries(const cql_type_t *type, cql_slice_t value, entry *entries) {
  cql__cursor c = cql__cursor_of(value.data, (size_t)value.length);
  uint32_t count = (uint32_t)cql__read_i32(&c);
  for (uint32_t i = 0; i < count; i++) {
    const uint8_t *start = c.next;
    entries[i].item = cql__read_bytes(&c);
    entries[i].key = (cql_slice_t){start, (int32_t)(c.next - start)};
    start = c.next;
    if (type->kind == CQL_MAP) cql__read_bytes(&c);
    entries[i].value = (cql_slice_t){start, (int32_t)(c.next - start)};
  }
  return count;
}

/* Merges from the bottom up, so that equal ones stay in their order. */
static void sort_entries(const cql_type_t *key, entry *entries, entry *other, uint32_t count) {
  for (uint32_t width = 1; width < count; width *= 2) {
    for (uint32_t start = 0; start < count; start += 2 * width) {
      uint32_t middle = start + width < count ? start + width : count;
      uint32_t end = middle + width < count ? middle + width : count;
      uint32_t left = start, right = middle;
      for (uint32_t at = start; at < end; at++) {
        int first = right == end ||
                    (left < middle &&
                     cql__sim_value_compare(key, entries[left].item, entries[right].item) <= 0);
        other[at] = first ? entries[left++] : entries[right++];
      }
    }
    memcpy(entries, other, count * sizeof *entries);
  }
}

static int is_sorted(const cql_type_t *key, const entry *entries, uint32_t count) {
  for (uint32_t i = 1; i < count; i++)
    if (cql__sim_value_compare(key, entries[i - 1].item, entries[i].item) >= 0) return 0;
  return 1;
}

cql_slice_t cql__sim_value_sorted(cql__sim_region *region, const cql_type_t *type,
                                  cql_slice_t value) {
  if ((type->kind != CQL_SET && type->kind != CQL_MAP) || value.length < 4) return value;
  const cql_type_t *key = &type->children[0];
  uint32_t count = cql__get_u32(value.data), kept = 0;
  entry *entries = cql__sim_alloc(count * 2 * sizeof *entries);
  take_entries(type, value, entries);
  if (!is_sorted(key, entries, count)) {
    sort_entries(key, entries, entries + count, count);
    uint8_t *bytes = cql__sim_region_take(region, (size_t)value.length), *at = bytes + 4;
    for (uint32_t i = 0; i < count; i++) {
      int again =
          i + 1 < count && cql__sim_value_compare(key, entries[i].item, entries[i + 1].item) == 0;
      if (again) continue;
      at = cql__put_bytes(at, entries[i].key.data, (size_t)entries[i].key.length);
      at = cql__put_bytes(at, entries[i].value.data, (size_t)entries[i].value.length);
      kept++;
    }
    cql__put_u32(bytes, kept);
    value = (cql_slice_t){bytes, (int32_t)(at - bytes)};
  }
  cql__sim_release(entries);
  return value;
}
