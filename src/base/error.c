#include "base/error.h"

const char *cql__error_name(int error) {
  switch (error) {
#define CASE_NAME(name, number, text)                                                              \
  case number: return #name;
    CQL_ERROR_MAP(CASE_NAME)
#undef CASE_NAME
    default: return error == 0 ? "OK" : "unknown";
  }
}

const char *cql__error_text(int error) {
  switch (error) {
#define CASE_TEXT(name, number, text)                                                              \
  case number: return text;
    CQL_ERROR_MAP(CASE_TEXT)
#undef CASE_TEXT
    default: return error == 0 ? "no error" : "not an error of this library";
  }
}

/* Here and not in api/: the handshake sends it. */
const char *cql_version(void) { return "0.1.0"; }
