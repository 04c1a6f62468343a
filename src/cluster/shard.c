#include "cluster/shard.h"

cql__shard_ports cql__shard_ports_of(uint16_t low, uint16_t high, uint32_t shard_count,
                                     uint32_t shard, uint64_t chance) {
  uint64_t lowest = low + ((uint64_t)shard_count - low % shard_count + shard) % shard_count;
  cql__shard_ports ports = {.step = shard_count};
  if (lowest > high) return ports;
  ports.lowest = (uint32_t)lowest;
  ports.count = ports.left = (high - ports.lowest) / shard_count + 1;
  ports.at = (uint32_t)(chance % ports.count);
  return ports;
}

uint16_t cql__shard_ports_next(cql__shard_ports *ports) {
  if (ports->left == 0) return 0;
  uint32_t port = ports->lowest + ports->at * ports->step;
  ports->left--;
  if (++ports->at == ports->count) ports->at = 0;
  return (uint16_t)port;
}
