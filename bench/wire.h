/* wire.h - numbers, envelopes and segments of the native protocol for the canned server and the raw
 * client. They share nothing with the library: what it is compared with must not move when it does.
 *
 *   envelope: OFFSET SIZE              segment (v5): OFFSET SIZE
 *             0      1  version                      0      3  little-endian: 17 bits length,
 *             1      1  flags                                  1 bit "whole envelopes"
 *             2      2  stream                       3      3  CRC24 of these 3 bytes
 *             4      1  opcode                       6      n  payload
 *             5      4  body length                  6 + n  4  CRC32 of the payload
 */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "crc.h"

enum { ENVELOPE_HEADER = 9, SEGMENT_HEADER = 6, SEGMENT_TRAILER = 4, SEGMENT_MAX = 131071 };

enum {
  OP_ERROR = 0x00,
  OP_STARTUP = 0x01,
  OP_READY = 0x02,
  OP_OPTIONS = 0x05,
  OP_SUPPORTED = 0x06,
  OP_QUERY = 0x07,
  OP_RESULT = 0x08,
  OP_PREPARE = 0x09,
  OP_EXECUTE = 0x0A,
  OP_REGISTER = 0x0B,
  OP_BATCH = 0x0D
};

enum { FLAG_PAYLOAD = 0x04 }; /* of an envelope */

/* Parameters of QUERY and EXECUTE. */
enum { QUERY_VALUES = 1, QUERY_SKIP_METADATA = 2, QUERY_PAGE_SIZE = 4, QUERY_PAGING_STATE = 8 };
enum { QUERY_NAMES = 0x40 };

enum { RESULT_VOID = 1, RESULT_ROWS = 2, RESULT_KEYSPACE = 3, RESULT_PREPARED = 4 };

/* Flags of a result's metadata. */
enum { ROWS_GLOBAL_TABLE = 1, ROWS_MORE_PAGES = 2, ROWS_NO_METADATA = 4 };

static inline uint16_t get16(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }

static inline uint32_t get32(const uint8_t *at) {
  uint32_t number;
  memcpy(&number, at, 4);
  return be32toh(number);
}

static inline uint64_t get64(const uint8_t *at) {
  uint64_t number;
  memcpy(&number, at, 8);
  return be64toh(number);
}

static inline void put16(uint8_t *at, unsigned number) {
  at[0] = (uint8_t)(number >> 8);
  at[1] = (uint8_t)number;
}

static inline void put32(uint8_t *at, uint32_t number) {
  number = htobe32(number);
  memcpy(at, &number, 4);
}

static inline void put64(uint8_t *at, uint64_t number) {
  number = htobe64(number);
  memcpy(at, &number, 8);
}

static inline int envelope_stream(const uint8_t *envelope) { return get16(envelope + 2); }

static inline size_t envelope_size(const uint8_t *envelope) {
  return ENVELOPE_HEADER + get32(envelope + 5);
}

static inline void envelope_put(uint8_t *at, int version, int stream, int opcode, size_t length) {
  at[0] = (uint8_t)version;
  at[1] = 0;
  put16(at + 2, (unsigned)stream);
  at[4] = (uint8_t)opcode;
  put32(at + 5, (uint32_t)length);
}

static inline void put24_little(uint8_t *at, uint32_t number) {
  at[0] = (uint8_t)number;
  at[1] = (uint8_t)(number >> 8);
  at[2] = (uint8_t)(number >> 16);
}

static inline uint32_t get24_little(const uint8_t *at) {
  return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16;
}

/* whole: the payload is whole envelopes, not a part of one. */
static inline void segment_put_header(uint8_t *at, size_t length, bool whole) {
  put24_little(at, (uint32_t)length | (whole ? 1u << 17 : 0));
  put24_little(at + 3, crc24(at));
}

static inline void segment_put_trailer(uint8_t *at, const uint8_t *payload, size_t length) {
  uint32_t crc = htole32(crc32_payload(payload, length));
  memcpy(at, &crc, 4);
}

static inline size_t segment_length(const uint8_t *segment) {
  return get24_little(segment) & SEGMENT_MAX;
}

static inline bool segment_is_sound(const uint8_t *segment, size_t length) {
  uint32_t crc;
  memcpy(&crc, segment + SEGMENT_HEADER + length, 4);
  return crc24(segment) == get24_little(segment + 3) &&
         crc32_payload(segment + SEGMENT_HEADER, length) == le32toh(crc);
}

#endif
