// What the Go driver makes of a simulated cluster: driver VERSION. It prints one line for each
// thing that it saw; spec/live/drivers_spec.lua knows what they must be.
package main

import (
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
)

func must(err error) {
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

func say(name string, value interface{}) { fmt.Printf("%s: %v\n", name, value) }

func waitUntil(check func() bool) bool {
	for i := 0; i < 100; i++ {
		if check() {
			return true
		}
		time.Sleep(100 * time.Millisecond)
	}
	return false
}

func main() {
	version, err := strconv.Atoi(os.Args[1])
	must(err)
	cluster := gocql.NewCluster("127.0.77.1")
	cluster.ProtoVersion = version
	cluster.Timeout = 5 * time.Second
	cluster.ConnectTimeout = 5 * time.Second
	cluster.Consistency = gocql.LocalQuorum
	cluster.ReconnectInterval = time.Second
	cluster.PoolConfig.HostSelectionPolicy =
		gocql.TokenAwareHostPolicy(gocql.DCAwareRoundRobinPolicy("dc1"))
	session, err := cluster.CreateSession()
	must(err)
	defer session.Close()

	racks := []string{}
	for _, host := range session.GetHosts() {
		racks = append(racks, host.ConnectAddress().String()+" "+host.Rack()+" "+
			strconv.Itoa(len(host.Tokens())))
	}
	sort.Strings(racks)
	say("hosts", strings.Join(racks, ","))
	must(session.Query("CREATE TABLE ks.u (a int, b timestamp, c set<text>, PRIMARY KEY (a, b))").Exec())
	say("sees the new table", waitUntil(func() bool {
		keyspace, err := session.KeyspaceMetadata("ks")
		must(err)
		_, found := keyspace.Tables["u"]
		return found
	}))

	insert := "INSERT INTO ks.t (id, v, m) VALUES (?, ?, ?)"
	for i := 0; i < 60; i++ {
		must(session.Query(insert, i, fmt.Sprint("v", i), map[string]int{"a": i}).Exec())
	}
	read := func(id int) string {
		var v string
		must(session.Query("SELECT v FROM ks.t WHERE id = ?", id).Idempotent(true).
			RetryPolicy(&gocql.SimpleRetryPolicy{NumRetries: 3}).Scan(&v))
		return v
	}
	say("row", read(7))
	rows, id := session.Query("SELECT id FROM ks.t").PageSize(7).Iter(), 0
	count := 0
	for rows.Scan(&id) {
		count++
	}
	must(rows.Close())
	say("rows", count)
	batch := session.Batch(gocql.LoggedBatch)
	for i := 0; i < 3; i++ {
		batch.Query(insert, i, "batch", nil)
	}
	must(batch.Exec())
	say("batch", read(1))
	once := func() bool {
		applied, err := session.Query("INSERT INTO ks.t (id, v) VALUES (1000, 'x') IF NOT EXISTS").
			MapScanCAS(map[string]interface{}{})
		must(err)
		return applied
	}
	say("applied", fmt.Sprint(once(), once()))

	up := func() (count int) {
		for _, host := range session.GetHosts() {
			if host.IsUp() {
				count++
			}
		}
		return count
	}
	say("kill", 2)
	say("went down", waitUntil(func() bool { return up() == 2 }))
	for i := 0; i < 30; i++ {
		read(i)
	}
	say("start", 2)
	say("came up", waitUntil(func() bool { return up() == 3 }))
	say("end", "now")
}
