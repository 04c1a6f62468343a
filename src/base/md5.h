/* MD5 [RFC 1321]: what RandomPartitioner makes tokens with. It keeps no secret. */
#ifndef CQL_BASE_MD5_H
#define CQL_BASE_MD5_H

#include <stddef.h>
#include <stdint.h>

void cql__md5(const uint8_t *bytes, size_t size, uint8_t out[16]);

#endif
