/* canned_table.h - the tables of the canned server, and the cells of their rows.
 *
 * system.local, peers and peers_v2 and system_schema.keyspaces are what a driver asks for when it
 * connects: one node with one token, no peers; or, with --nodes N, so many nodes of 256 tokens, all
 * of them this server. ks.t and ks.rows are what is measured.
 */
#ifndef BENCH_CANNED_TABLE_H
#define BENCH_CANNED_TABLE_H

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#include "bytes.h"

/* Types as numbered on the wire; SET_TEXT and the maps stand for their two types. */
enum {
  TYPE_BIGINT = 0x02,
  TYPE_BLOB = 0x03,
  TYPE_INT = 0x09,
  TYPE_UUID = 0x0C,
  TYPE_TEXT = 0x0D,
  TYPE_INET = 0x10,
  TYPE_SET_TEXT = 0x22,
  TYPE_MAP_UUID_BLOB = 0x21,
  TYPE_MAP_TEXT = 0x121
};
enum { TOKENS_PER_NODE = 256 };

typedef struct column_s {
  const char *name;
  int type;
  const char *text; /* the cell of the only row of a system table; NULL: null */
} column_t;

typedef struct table_s {
  const char *keyspace;
  const char *name;
  const char *key; /* the column that is the partition key */
  const column_t *columns;
  int column_count;
  int row_count;
  bool generated; /* cells follow from the row's number; else they are the columns' texts */
} table_t;

/* What the options set. */
static struct {
  int rows;
  int value_size;
  int port;
  int protocol_max;
  int nodes; /* 0: one that has one token */
} canned = {.rows = 5000, .value_size = 100, .port = 9142, .protocol_max = 5};

#define SCHEMA_VERSION "8a6f7c1e-2b1d-4c59-9a51-5a7f0b1c2d3e"
#define HOST_ID        "11111111-1111-4111-8111-000000000001"
#define PARTITIONER    "org.apache.cassandra.dht.Murmur3Partitioner"
#define PORT           "?" /* stands for the port listened on */

static const column_t local_columns[] = {
    {"key", TYPE_TEXT, "local"},
    {"bootstrapped", TYPE_TEXT, "COMPLETED"},
    {"broadcast_address", TYPE_INET, "127.0.0.1"},
    {"broadcast_port", TYPE_INT, "7000"},
    {"cluster_name", TYPE_TEXT, "canned"},
    {"cql_version", TYPE_TEXT, "3.4.6"},
    {"data_center", TYPE_TEXT, "dc1"},
    {"gossip_generation", TYPE_INT, "1700000000"},
    {"host_id", TYPE_UUID, HOST_ID},
    {"listen_address", TYPE_INET, "127.0.0.1"},
    {"listen_port", TYPE_INT, "7000"},
    {"native_protocol_version", TYPE_TEXT, "5"},
    {"partitioner", TYPE_TEXT, PARTITIONER},
    {"rack", TYPE_TEXT, "rack1"},
    {"release_version", TYPE_TEXT, "4.1.4"},
    {"rpc_address", TYPE_INET, "127.0.0.1"},
    {"rpc_port", TYPE_INT, PORT},
    {"schema_version", TYPE_UUID, SCHEMA_VERSION},
    {"tokens", TYPE_SET_TEXT, "-9223372036854775807"},
    {"truncated_at", TYPE_MAP_UUID_BLOB, NULL},
};

static const column_t peers_columns[] = {
    {"peer", TYPE_INET, NULL},        {"data_center", TYPE_TEXT, "dc1"},
    {"host_id", TYPE_UUID, NULL},     {"preferred_ip", TYPE_INET, NULL},
    {"rack", TYPE_TEXT, NULL},        {"release_version", TYPE_TEXT, "4.1.4"},
    {"rpc_address", TYPE_INET, NULL}, {"schema_version", TYPE_UUID, SCHEMA_VERSION},
    {"tokens", TYPE_SET_TEXT, NULL},
};

static const column_t peers_v2_columns[] = {
    {"peer", TYPE_INET, NULL},
    {"peer_port", TYPE_INT, NULL},
    {"data_center", TYPE_TEXT, "dc1"},
    {"host_id", TYPE_UUID, NULL},
    {"native_address", TYPE_INET, NULL},
    {"native_port", TYPE_INT, PORT},
    {"preferred_ip", TYPE_INET, NULL},
    {"preferred_port", TYPE_INT, NULL},
    {"rack", TYPE_TEXT, NULL},
    {"release_version", TYPE_TEXT, "4.1.4"},
    {"schema_version", TYPE_UUID, SCHEMA_VERSION},
    {"tokens", TYPE_SET_TEXT, NULL},
};

static const column_t t_columns[] = {{"k", TYPE_INT, NULL}, {"v", TYPE_BLOB, NULL}};

static const column_t rows_columns[] = {
    {"p", TYPE_INT, NULL},
    {"t", TYPE_TEXT, NULL},
    {"b", TYPE_BIGINT, NULL},
};

static const column_t keyspaces_columns[] = {
    {"keyspace_name", TYPE_TEXT, "ks"},
    {"replication", TYPE_MAP_TEXT, "class SimpleStrategy replication_factor 3"},
};

#define COLUMNS(columns) (columns), (int)(sizeof(columns) / sizeof *(columns))
static table_t tables[] = {
    {"system", "local", "key", COLUMNS(local_columns), 1, false},
    {"system", "peers", "peer", COLUMNS(peers_columns), 0, false},
    {"system", "peers_v2", "peer", COLUMNS(peers_v2_columns), 0, false},
    {"system_schema", "keyspaces", "keyspace_name", COLUMNS(keyspaces_columns), 1, false},
    {"ks", "t", "k", COLUMNS(t_columns), 1, true},
    {"ks", "rows", "p", COLUMNS(rows_columns), 5000, true},
};
enum { TABLE_COUNT = sizeof tables / sizeof *tables };
#undef COLUMNS

/* An empty keyspace stands for any. NULL: there is none of that name. */
static table_t *table_find(const char *keyspace, const char *name) {
  for (int i = 0; i < TABLE_COUNT; i++) {
    bool there = !*keyspace || !strcasecmp(tables[i].keyspace, keyspace);
    if (there && !strcasecmp(tables[i].name, name)) return &tables[i];
  }
  return NULL;
}

static const column_t *table_column(const table_t *table, const char *name) {
  for (int i = 0; table && i < table->column_count; i++) {
    if (!strcasecmp(table->columns[i].name, name)) return &table->columns[i];
  }
  return NULL;
}

/* [option] */
static void type_encode(bytes_t *out, int type) {
  bytes_add16(out, (unsigned)type & 0xFF);
  if (type == TYPE_SET_TEXT) bytes_add16(out, TYPE_TEXT);
  if (type == TYPE_MAP_TEXT) {
    bytes_add16(out, TYPE_TEXT);
    bytes_add16(out, TYPE_TEXT);
  }
  if (type == TYPE_MAP_UUID_BLOB) {
    bytes_add16(out, TYPE_UUID);
    bytes_add16(out, TYPE_BLOB);
  }
}

static void uuid_encode(bytes_t *out, const char *text) {
  bytes_add32(out, 16);
  for (const char *at = text; *at;) {
    if (*at == '-') {
      at++;
      continue;
    }
    char digits[3] = {at[0], at[1], 0};
    bytes_add8(out, (unsigned)strtoul(digits, NULL, 16));
    at += 2;
  }
}

/* Words with a space between them, as keys and values of a map [bytes]. */
static void map_encode(bytes_t *out, const char *text) {
  uint32_t words = 1;
  for (const char *at = text; *at; at++) words += *at == ' ';
  bytes_add32(out, (uint32_t)(4 + 4 * words + strlen(text) - (words - 1)));
  bytes_add32(out, words / 2);
  for (const char *at = text; words > 0; words--) {
    size_t length = strcspn(at, " ");
    bytes_add32(out, (uint32_t)length);
    bytes_add(out, at, length);
    at += length + 1;
  }
}

/* A system table's cell [bytes]. */
static void text_cell_encode(bytes_t *out, const column_t *column) {
  const char *text = column->text;
  struct in_addr address;
  if (!text) {
    bytes_add32(out, UINT32_MAX);
    return;
  }
  switch (column->type) {
    case TYPE_INT:
      bytes_add32(out, 4);
      bytes_add32(out, (uint32_t)(strcmp(text, PORT) ? atoi(text) : canned.port));
      return;
    case TYPE_INET:
      inet_pton(AF_INET, text, &address);
      bytes_add32(out, 4);
      bytes_add(out, &address, 4);
      return;
    case TYPE_UUID: uuid_encode(out, text); return;
    case TYPE_MAP_TEXT: map_encode(out, text); return;
    case TYPE_SET_TEXT: /* of one element */
      bytes_add32(out, (uint32_t)(8 + strlen(text)));
      bytes_add32(out, 1);
      break;
    default: break;
  }
  bytes_add32(out, (uint32_t)strlen(text));
  bytes_add(out, text, strlen(text));
}

/* 127.0.0.1 to 127.0.0.250, 127.0.1.1 and so on. */
static uint32_t node_address(int node) {
  return (uint32_t)(0x7F000001 + node / 250 * 256 + node % 250);
}

/* Random ones, the same each time. */
static void tokens_encode(bytes_t *out, int node) {
  static bytes_t texts;
  uint64_t state = (uint64_t)node * TOKENS_PER_NODE;
  texts.length = 0;
  for (int i = 0; i < TOKENS_PER_NODE; i++) { /* splitmix64 */
    uint64_t z = ++state * 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    char text[24];
    int length = snprintf(text, sizeof text, "%lld", (long long)(z ^ z >> 31));
    bytes_add32(&texts, (uint32_t)length);
    bytes_add(&texts, text, (size_t)length);
  }
  bytes_add32(out, (uint32_t)texts.length + 4);
  bytes_add32(out, TOKENS_PER_NODE);
  bytes_add(out, texts.data, texts.length);
}

/* What differs from node to node [bytes]. False: this column is the same for all. */
static bool node_cell_encode(bytes_t *out, const column_t *column, int node) {
  char text[40];
  switch (column->type) {
    case TYPE_INET:
      bytes_add32(out, 4);
      bytes_add32(out, node_address(node));
      return true;
    case TYPE_SET_TEXT: tokens_encode(out, node); return true;
    case TYPE_UUID:
      if (strcmp(column->name, "host_id")) return false;
      snprintf(text, sizeof text, "%.24s%012x", HOST_ID, (unsigned)node + 1);
      uuid_encode(out, text);
      return true;
    case TYPE_TEXT:
      if (strcmp(column->name, "rack")) return false;
      bytes_add32(out, 5);
      snprintf(text, sizeof text, "rack%d", node % 3 + 1);
      bytes_add(out, text, 5);
      return true;
    default: return false;
  }
}

/* Letters in no order: LuaJIT hashes only parts of a string, so strings that are alike would take
 * longer to intern than those of a real table. The row's number makes each one unique. */
static void letters_encode(bytes_t *out, int length, int row) {
  uint32_t state = 2463534242u + (uint32_t)row * 2654435761u;
  char number[16];
  int digits = snprintf(number, sizeof number, "%08d", row);
  bytes_add32(out, (uint32_t)length);
  for (int i = 0; i < length; i++) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    bool numbered = length >= digits && i < digits;
    bytes_add8(out, numbered ? (unsigned)number[i] : 'a' + (state >> 8) % 26);
  }
}

/* The cell of `column` in row `row` [bytes]. */
static void cell_encode(bytes_t *out, const table_t *table, const column_t *column, int row) {
  if (!table->generated) {
    int node = strcmp(table->key, "peer") ? row : row + 1;
    bool of_nodes = canned.nodes && !strcmp(table->keyspace, "system");
    if (!of_nodes || !node_cell_encode(out, column, node)) text_cell_encode(out, column);
    return;
  }
  switch (column->type) {
    case TYPE_INT:
      bytes_add32(out, 4);
      bytes_add32(out, (uint32_t)row);
      return;
    case TYPE_BIGINT:
      bytes_add32(out, 8);
      bytes_add64(out, (uint64_t)row * 1000003);
      return;
    case TYPE_TEXT: letters_encode(out, 100, row); return;
    default: letters_encode(out, canned.value_size, row); return;
  }
}

#endif
