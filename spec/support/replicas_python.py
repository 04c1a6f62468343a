"""What the Python driver's metadata makes of a cluster: replicas_python.py CLUSTER SEED COUNT

CLUSTER is a file of lines, their words apart by tabs:
  partitioner CLASS | node DATACENTER RACK TOKEN... | keyspace CLASS OPTION VALUE...

Prints a line for each of COUNT random keys: the key in hexadecimal, and for each keyspace its
replicas as numbers of the nodes, 0,1,2. spec/live/replicas_spec.lua compares them.
"""
import random
import sys

from cassandra.metadata import KeyspaceMetadata, Metadata


class Host:
    """As much of a host as the metadata looks at."""

    def __init__(self, index, datacenter, rack):
        self.index, self.datacenter, self.rack = index, datacenter, rack


def read(path):
    partitioner, hosts, keyspaces = None, [], []
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            kind, *words = line.rstrip("\n").split("\t")
            if kind == "partitioner":
                partitioner = words[0]
            elif kind == "node":
                hosts.append((Host(len(hosts), *words[:2]), words[2:]))
            else:
                options = dict(zip(words[1::2], words[2::2]))
                keyspaces.append(KeyspaceMetadata("ks%d" % len(keyspaces), True, words[0], options))
    return partitioner, hosts, keyspaces


def main():
    metadata = Metadata()
    partitioner, hosts, keyspaces = read(sys.argv[1])
    metadata.keyspaces = {keyspace.name: keyspace for keyspace in keyspaces}
    metadata.rebuild_token_map(partitioner, dict(hosts))
    chance = random.Random(int(sys.argv[2]))
    for _ in range(int(sys.argv[3])):
        key = chance.randbytes(chance.randint(1, 40))
        replicas = (metadata.get_replicas(keyspace.name, key) for keyspace in keyspaces)
        print(key.hex(), *(",".join(str(host.index) for host in found) or "-" for found in replicas))


main()
