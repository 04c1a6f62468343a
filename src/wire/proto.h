/* Numbers of the native protocol v3 to v5 [spec 2, 9, 10]. */
#ifndef CQL_WIRE_PROTO_H
#define CQL_WIRE_PROTO_H

#include "cql.h"

enum { CQL__VERSION_MIN = 3, CQL__VERSION_MAX = 5 };
enum { CQL__HEADER_SIZE = 9 };              /* of an envelope */
enum { CQL__BODY_MAX = 256 * 1024 * 1024 }; /* [spec 2.5: length] */
enum { CQL__STREAM_COUNT = 32768 };

enum {
  CQL__FLAG_COMPRESSED = 0x01,
  CQL__FLAG_TRACING = 0x02,
  CQL__FLAG_PAYLOAD = 0x04,
  CQL__FLAG_WARNINGS = 0x08,
  CQL__FLAG_BETA = 0x10
};

#define CQL__OPCODE_MAP(XX)                                                                        \
  XX(ERROR, 0x00)                                                                                  \
  XX(STARTUP, 0x01)                                                                                \
  XX(READY, 0x02)                                                                                  \
  XX(AUTHENTICATE, 0x03)                                                                           \
  XX(OPTIONS, 0x05)                                                                                \
  XX(SUPPORTED, 0x06)                                                                              \
  XX(QUERY, 0x07)                                                                                  \
  XX(RESULT, 0x08)                                                                                 \
  XX(PREPARE, 0x09)                                                                                \
  XX(EXECUTE, 0x0A)                                                                                \
  XX(REGISTER, 0x0B)                                                                               \
  XX(EVENT, 0x0C)                                                                                  \
  XX(BATCH, 0x0D)                                                                                  \
  XX(AUTH_CHALLENGE, 0x0E)                                                                         \
  XX(AUTH_RESPONSE, 0x0F)                                                                          \
  XX(AUTH_SUCCESS, 0x10)

enum {
#define CQL__OPCODE_ENUM(name, number) CQL__##name = (number),
  CQL__OPCODE_MAP(CQL__OPCODE_ENUM)
#undef CQL__OPCODE_ENUM
      CQL__OPCODE_COUNT = 0x11
};

/* parameters of QUERY and EXECUTE, and those of BATCH [spec 4.1.4] */
enum {
  CQL__QUERY_VALUES = 0x001,
  CQL__QUERY_SKIP_METADATA = 0x002,
  CQL__QUERY_PAGE_SIZE = 0x004,
  CQL__QUERY_PAGING_STATE = 0x008,
  CQL__QUERY_SERIAL = 0x010,
  CQL__QUERY_TIMESTAMP = 0x020,
  CQL__QUERY_NAMES = 0x040,
  CQL__QUERY_KEYSPACE = 0x080,
  CQL__QUERY_NOW = 0x100
};

/* result metadata [spec 4.2.5.2] */
enum { CQL__ROWS_GLOBAL = 1, CQL__ROWS_MORE = 2, CQL__ROWS_NO_METADATA = 4, CQL__ROWS_CHANGED = 8 };

/* error codes that the core acts on [spec 9] */
enum {
  CQL__ERROR_SERVER = 0x0000,
  CQL__ERROR_PROTOCOL = 0x000A,
  CQL__ERROR_CREDENTIALS = 0x0100,
  CQL__ERROR_UNAVAILABLE = 0x1000,
  CQL__ERROR_OVERLOADED = 0x1001,
  CQL__ERROR_BOOTSTRAPPING = 0x1002,
  CQL__ERROR_TRUNCATE = 0x1003,
  CQL__ERROR_WRITE_TIMEOUT = 0x1100,
  CQL__ERROR_READ_TIMEOUT = 0x1200,
  CQL__ERROR_SYNTAX = 0x2000,
  CQL__ERROR_UNAUTHORIZED = 0x2100,
  CQL__ERROR_INVALID = 0x2200,
  CQL__ERROR_CONFIG = 0x2300,
  CQL__ERROR_UNPREPARED = 0x2500
};

#endif
