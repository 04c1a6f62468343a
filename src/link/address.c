#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "cql.h"
#include "link/link.h"

void cql__address_to_text(const cql__address *address, char out[CQL__ADDRESS_TEXT]) {
  char host[INET6_ADDRSTRLEN];
  int family = address->length == 16 ? AF_INET6 : AF_INET;
  if (!inet_ntop(family, address->bytes, host, sizeof host)) host[0] = 0;
  snprintf(out, CQL__ADDRESS_TEXT, family == AF_INET6 ? "[%s]:%u" : "%s:%u", host,
           (unsigned)address->port);
}

int cql__address_from_text(const char *text, size_t length, uint16_t port, cql__address *out) {
  char host[INET6_ADDRSTRLEN];
  if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
    text++;
    length -= 2;
  }
  if (length >= sizeof host) return CQL_EVALUE;
  memcpy(host, text, length);
  host[length] = 0;
  memset(out, 0, sizeof *out);
  out->port = port;
  if (inet_pton(AF_INET, host, out->bytes) == 1) {
    out->length = 4;
    return 0;
  }
  if (inet_pton(AF_INET6, host, out->bytes) == 1) {
    out->length = 16;
    return 0;
  }
  return CQL_EVALUE;
}

int cql__address_equal(const cql__address *a, const cql__address *b) {
  return a->length == b->length && a->port == b->port && a->scope == b->scope &&
         memcmp(a->bytes, b->bytes, a->length) == 0;
}
