"""What ScyllaDB's Python driver makes of the face: driver_face.py ADDRESS HOST_ID SHARD

Prints one line for each thing that it saw; spec/live/scylla_face_spec.lua knows what they must be.
"""
import sys
import time

from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import RoundRobinPolicy, TokenAwarePolicy

profile = ExecutionProfile(load_balancing_policy=TokenAwarePolicy(RoundRobinPolicy()),
                           consistency_level=ConsistencyLevel.ONE)
cluster = Cluster([sys.argv[1]], protocol_version=4,
                  execution_profiles={EXEC_PROFILE_DEFAULT: profile})


def say(name, value):
    print("%s: %s" % (name, value), flush=True)


session = cluster.connect()
for _ in range(100):
    stats = cluster.shard_aware_stats()
    if stats and all(s["connected"] == s["shards_count"] for s in stats.values()):
        break
    time.sleep(0.1)
say("hosts", ",".join(sorted(host.address for host in cluster.metadata.all_hosts())))
say("shards", ",".join("%(connected)d/%(shards_count)d" % stats[host] for host in sorted(stats)))
select = session.prepare("SELECT id, name FROM face.t WHERE id = ?")
update = session.prepare("UPDATE face.t SET name = ? WHERE id = ? IF EXISTS")
say("lwt", "%s %s" % (update.is_lwt(), select.is_lwt()))
for i in range(20):
    session.execute(select, (i,))
say("warm", "now")
time.sleep(0.5)
tablet = cluster.metadata._tablets._tablets[("face", "t")][0]
say("tablet", ",".join("%s:%d" % (host, shard) for host, shard in tablet.replicas))
rows = [session.execute(select, (i,)).one() for i in range(200)]
say("rows", sum(row is not None and row.id == i for i, row in enumerate(rows)))
say("end", "now")
cluster.shutdown()
