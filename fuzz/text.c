/* Texts that people write: what is taken for a value comes back as the same value. */
#include "fuzz.h"

#include "wire/text.h"

static void uuid(const char *text, size_t size) {
  uint8_t bytes[16], again[16];
  char out[37];
  if (cql__uuid_from_text(text, size, bytes)) return;
  cql__uuid_to_text(bytes, out);
  CHECK(strlen(out) == 36 && cql__uuid_from_text(out, 36, again) == 0);
  CHECK(memcmp(bytes, again, 16) == 0);
}

static void inet(const char *text, size_t size) {
  uint8_t bytes[16], again[16];
  char out[47];
  int length = cql__inet_from_text(text, size, bytes);
  if (length < 0) return;
  CHECK(length == 4 || length == 16);
  int printed = cql__inet_to_text(bytes, length, out);
  CHECK(printed > 0 && printed < 47 && strlen(out) == (size_t)printed);
  CHECK(cql__inet_from_text(out, (size_t)printed, again) == length);
  CHECK(memcmp(bytes, again, (size_t)length) == 0);
}

static void date(const char *text, size_t size) {
  int64_t days, again;
  char out[20];
  if (cql__date_from_text(text, size, &days)) return;
  int printed = cql__date_to_text(days, out);
  CHECK(printed > 0 && printed < 20 && strlen(out) == (size_t)printed);
  CHECK(cql__date_from_text(out, (size_t)printed, &again) == 0 && again == days);
}

static void varint(const char *text, size_t size) {
  enum { MAX = 2000 };
  uint8_t bytes[MAX], again[MAX];
  char out[3 * MAX + 2];
  int length = cql__varint_from_text(text, size, bytes, sizeof bytes);
  if (length < 0) return;
  CHECK(length > 0 && length <= MAX);
  CHECK(length < 2 ||
        !((bytes[0] == 0 && bytes[1] < 0x80) || (bytes[0] == 0xff && bytes[1] >= 0x80)));
  int printed = cql__varint_to_text(bytes, length, out, sizeof out);
  CHECK(printed > 0 && strlen(out) == (size_t)printed);
  CHECK(cql__varint_from_text(out, (size_t)printed, again, sizeof again) == length);
  CHECK(memcmp(bytes, again, (size_t)length) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = (char *)copy_of(data, size);
  uuid(text, size);
  inet(text, size);
  date(text, size);
  varint(text, size);
  free(text);
  return 0;
}
