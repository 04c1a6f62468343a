"""Who has which key, as the Python driver computes it: driver_replicas.py ADDRESS FILE KEYSPACE...

FILE has a key in hex on each line. Prints "KEYSPACE LINE ADDRESS,ADDRESS..." for each of them.
"""
import sys

from cassandra.cluster import Cluster

cluster = Cluster([sys.argv[1]])
session = cluster.connect()
with open(sys.argv[2]) as file:
    keys = [bytes.fromhex(line.strip()) for line in file]
for keyspace in sys.argv[3:]:
    for number, key in enumerate(keys, 1):
        replicas = sorted(host.address for host in cluster.metadata.get_replicas(keyspace, key))
        print(keyspace, number, ",".join(replicas))
cluster.shutdown()
