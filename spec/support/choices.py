"""Where the Python driver for ScyllaDB sends the requests for keys: choices.py ADDRESS KEYS GO OUT

KEYS is a file of lines "INT TEXT". It reads rows until it knows the tablets of all keys, says
"learned" and waits until the file GO is there; reads some of them again; and writes to OUT for
each keyspace and key the replicas as it would ask them, with the shard of the connection that it
would take: "KEYSPACE LINE ADDRESS/SHARD,...". spec/support/choices.lua does the same with ours.
"""
import os
import sys
import time

from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import DCAwareRoundRobinPolicy, TokenAwarePolicy

address, keys_path, go_path, out_path = sys.argv[1:]
policy = TokenAwarePolicy(DCAwareRoundRobinPolicy("dc1", used_hosts_per_remote_dc=100),
                          shuffle_replicas=False)
profile = ExecutionProfile(load_balancing_policy=policy, consistency_level=ConsistencyLevel.ONE)
cluster = Cluster([address], protocol_version=4, execution_profiles={EXEC_PROFILE_DEFAULT: profile})
session = cluster.connect(wait_for_all_pools=True)
metadata = cluster.metadata
with open(keys_path, encoding="utf-8") as lines:
    keys = [(int(line.split()[0]), line.split()[1]) for line in lines]
simple = session.prepare("SELECT a FROM simple.t WHERE b = ?")
network = session.prepare("SELECT a FROM network.t WHERE a = ? AND b = ?")
tablets = session.prepare("SELECT a FROM tablets.t WHERE a = ? AND b = ?")


def token_of(bound):
    return metadata.token_map.token_class.from_key(bound.routing_key)


def tablet_of(bound):
    return metadata._tablets.get_tablet_for_key("tablets", "t", token_of(bound))


def wait_until(check):
    for _ in range(600):
        if check():
            return
        time.sleep(0.1)
    raise RuntimeError("it never came")


def choice(keyspace, bound):
    if keyspace == "tablets":
        count = len(tablet_of(bound).replicas)
    else:
        count = len(metadata.get_replicas(keyspace, bound.routing_key))
    places = []
    for host in list(policy.make_query_plan(keyspace, bound))[:count]:
        connection = session._pools[host]._get_connection_for_routing_key(
            bound.routing_key, keyspace, "t")
        places.append("%s/%d" % (host.address, connection.features.shard_id))
    return ",".join(places)


wait_until(lambda: all(s["connected"] == s["shards_count"]
                       for s in cluster.shard_aware_stats().values()))
bounds = [tablets.bind(key) for key in keys]
for bound in bounds:
    for _ in range(100):
        if tablet_of(bound):
            break
        session.execute(bound)
print("python: learned", flush=True)
wait_until(lambda: os.path.exists(go_path))
for bound in bounds[:1000]:
    session.execute(bound)
with open(out_path, "w", encoding="utf-8") as out:
    for line, (a, b) in enumerate(keys, 1):
        print("simple", line, choice("simple", simple.bind((b,))), file=out)
        print("network", line, choice("network", network.bind((a, b))), file=out)
        print("tablets", line, choice("tablets", bounds[line - 1]), file=out)
print("python: done", flush=True)
cluster.shutdown()
