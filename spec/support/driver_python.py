"""What another driver makes of a simulated cluster: driver_python.py VERSION COMPRESSION SCYLLA

Prints one line for each thing that it saw; spec/live/drivers_spec.lua knows what they must be.
"""
import sys
import time

from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import DCAwareRoundRobinPolicy, TokenAwarePolicy
from cassandra.query import BatchStatement

version, compression, scylla = int(sys.argv[1]), sys.argv[2] == "lz4", sys.argv[3] == "scylla"
policy = TokenAwarePolicy(DCAwareRoundRobinPolicy("dc1"), shuffle_replicas=False)
profile = ExecutionProfile(load_balancing_policy=policy,
                           consistency_level=ConsistencyLevel.LOCAL_QUORUM)
cluster = Cluster(["127.0.77.1"], protocol_version=version, compression=compression,
                  execution_profiles={EXEC_PROFILE_DEFAULT: profile})


def say(name, value):
    print("%s: %s" % (name, value), flush=True)


def wait_until(check):
    for _ in range(100):
        if check():
            return True
        time.sleep(0.1)
    return False


def hosts_up():
    return sorted(h.address for h in cluster.metadata.all_hosts() if h.is_up)


session = cluster.connect()
say("cluster", cluster.metadata.cluster_name)
say("racks", ",".join(sorted(h.rack for h in cluster.metadata.all_hosts())))
say("up", ",".join(hosts_up()))
session.execute("CREATE TABLE ks.u (a int, b timestamp, c set<text>, PRIMARY KEY (a, b))")
say("sees the new table", wait_until(lambda: "u" in cluster.metadata.keyspaces["ks"].tables))

insert = session.prepare("INSERT INTO ks.t (id, v, m) VALUES (?, ?, ?)")
for i in range(60):
    session.execute(insert, (i, "v%d" % i, {"a": i}))
select = session.prepare("SELECT * FROM ks.t WHERE id = ?")
say("row", list(session.execute(select, (7,)))[0].v)
scan = session.prepare("SELECT id FROM ks.t")
scan.fetch_size = 7
say("rows", len(list(session.execute(scan))))
batch = BatchStatement()
for i in range(3):
    batch.add(insert, (i, "batch", None))
session.execute(batch)
say("batch", session.execute(select, (1,)).one().v)
once = "INSERT INTO ks.t (id, v) VALUES (1000, 'x') IF NOT EXISTS"
say("applied", "%s %s" % (session.execute(once).one().applied, session.execute(once).one().applied))

if scylla:
    wait_until(lambda: all(s["connected"] == s["shards_count"]
                           for s in cluster.shard_aware_stats().values()))
    stats = cluster.shard_aware_stats()
    say("shards", ",".join("%(connected)d/%(shards_count)d" % stats[h] for h in sorted(stats)))
    lwt = session.prepare("UPDATE ks.t SET v = ? WHERE id = ? IF EXISTS")
    say("lwt", "%s %s" % (lwt.is_lwt(), select.is_lwt()))
    for i in range(60):
        session.execute(select, (i,))
    say("warm", "now")
    time.sleep(0.3)
    for _ in range(3):
        for i in range(60):
            session.execute(select, (i,))
    tablets = cluster.metadata._tablets._tablets[("ks", "t")]
    say("tablets", "; ".join("%d:%s" % (t.last_token, ",".join("%s/%d" % (str(h), s)
                                                              for h, s in t.replicas))
                             for t in tablets))
else:
    tokens = cluster.metadata.token_map
    say("tokens", len(tokens.token_to_host_owner))
    say("replicas", "; ".join("%d:%s" % (t.value, ",".join(str(h.host_id)
                                                          for h in tokens.get_replicas("ks", t)))
                              for t in tokens.ring))
    say("kill", "2")
    say("went down", wait_until(lambda: len(hosts_up()) == 2))
    for i in range(30):
        session.execute(select, (i,))
    say("start", "2")
    say("came up", wait_until(lambda: len(hosts_up()) == 3))
say("end", "now")
cluster.shutdown()
