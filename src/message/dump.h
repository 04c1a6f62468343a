/* Dump: one envelope in words, for traces and golden specs. */
#ifndef CQL_MESSAGE_DUMP_H
#define CQL_MESSAGE_DUMP_H

#include <stddef.h>
#include <stdint.h>

/* As cql_message_dump(). Bodies must be uncompressed: a compressed one is said to be so. */
int cql__message_dump(const uint8_t *envelope, size_t length, int blank, char *out, size_t size);

#endif
