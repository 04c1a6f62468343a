/* A life of a simulated world from C: sessions come and go, nodes die and return, and nothing is
 * left behind, which the leak checker sees here as it can't under LuaJIT. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "cql_sim.h"

static void must(cql_sim_t *sim, int result) {
  if (result >= 0) return;
  fprintf(stderr, "%d: %s\n", result, cql_sim_error(sim));
  assert(result >= 0);
}

static cql_session_t *connect_to(cql_sim_t *sim, const char *points) {
  cql_config_t *config = cql_config_new();
  cql_session_t *session;
  assert(cql_config_set(config, "contact_points", points) == 0);
  assert(cql_config_set(config, "request_timeout_ms", "3000") == 0);
  must(sim, cql_sim_session_new(sim, config, &session));
  cql_config_free(config);
  return session;
}

static void ask(cql_session_t *session, const char *text, uint32_t tag) {
  cql_request_t *request;
  assert(cql_request_take(session, &request) == 0);
  assert(cql_request_query(request, text, strlen(text)) == 0);
  cql_submit(request, tag);
}

/* As a host that sleeps until its descriptor or its timeout wakes it, until `until_us`. How many
 * requests completed, and how many of them well. */
static unsigned run(cql_sim_t *sim, int64_t until_us, unsigned *good) {
  unsigned completed = 0;
  for (int why; (why = cql_sim_run(sim, until_us)) == CQL_SIM_SESSION;) {
    cql_session_t *session = cql_sim_due(sim);
    cql_completion_t out[16];
    assert(session && cql_sim_session_due(sim, session));
    assert(cql_session_step(session, 0) == 0);
    int count = cql_poll(session, 16, out);
    for (int i = 0; i < count; i++) {
      if (out[i].kind != CQL_DONE) continue;
      completed++;
      *good += out[i].status == 0;
      if (out[i].result) cql_result_free(out[i].result);
    }
  }
  return completed;
}

static void live(uint64_t seed, const char *product) {
  cql_sim_t *sim = cql_sim_new(seed);
  must(sim, cql_sim_set(sim, CQL_SIM_ALL, "product", product));
  must(sim, cql_sim_set(sim, CQL_SIM_ALL, "split", "40"));
  must(sim, cql_sim_set(sim, CQL_SIM_ALL, "service", "100us..2ms, 5% 1s..5s"));
  must(sim, cql_sim_set(sim, CQL_SIM_ALL, "agreement", "1s..100s"));
  must(sim, cql_sim_trace(sim, 2));
  for (int i = 0; i < 3; i++)
    must(sim, cql_sim_node_start(sim, cql_sim_node_new(sim, "dc1", "r1", NULL)));
  const char *schema[] = {
      "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 2}",
      "CREATE TABLE ks.t (id int PRIMARY KEY, v text)"};
  for (int i = 0; i < 2; i++) must(sim, cql_sim_cql(sim, schema[i], strlen(schema[i])));
  must(sim, cql_sim_name(sim, "db", "127.0.0.1 127.0.0.2"));
  must(sim, cql_sim_name(sim, "silence", NULL));
  cql_session_t *first = connect_to(sim, "db, silence"), *second = connect_to(sim, "127.0.0.3");
  unsigned good = 0, asked = 0, done = 0;
  for (int round = 0; round < 40; round++) {
    for (int i = 0; i < 5; i++, asked += 2) {
      ask(first, "INSERT INTO ks.t (id, v) VALUES (1, 'x')", asked);
      ask(second, "SELECT * FROM ks.t", asked);
    }
    int node = (int)cql_sim_random(sim, 3);
    if (round % 5 == 0 && cql_sim_node_state(sim, node) == CQL_SIM_UP)
      must(sim, cql_sim_node_kill(sim, node));
    if (round % 5 == 3)
      for (int i = 0; i < 3; i++) cql_sim_node_start(sim, i);
    if (round == 7) must(sim, cql_sim_cut(sim, 0, CQL_SIM_CLIENTS));
    if (round == 9) must(sim, cql_sim_heal(sim, 0, CQL_SIM_CLIENTS));
    if (round == 12) must(sim, cql_sim_stall(sim, 1, 700000));
    if (round == 14) cql_sim_node_pause(sim, 2);
    if (round == 16) cql_sim_node_resume(sim, 2);
    if (round == 20) cql_sim_node_vanish(sim, 1);
    if (round == 25) must(sim, cql_sim_session_stall(sim, first, 400000));
    if (round == 30) must(sim, cql_sim_pass(sim, 300000));
    done += run(sim, cql_sim_now(sim) + 500000, &good);
  }
  done += run(sim, cql_sim_now(sim) + 60000000, &good);
  ask(first, "CREATE TABLE ks.u (id int PRIMARY KEY)", asked++); /* still on its way to some */
  done += run(sim, cql_sim_now(sim) + 4000000, &good);
  assert(done == asked && good > asked / 20);
  for (int i = 0; i < 3; i++) cql_sim_node_start(sim, i); /* what is to come never does */
  must(sim, cql_sim_set(sim, CQL_SIM_ALL, "boot", "1s"));
  must(sim, cql_sim_node_kill(sim, 0));
  must(sim, cql_sim_node_start(sim, 0));
  must(sim, cql_sim_alarm_set(sim, cql_sim_now(sim) + 1000, 7));
  ask(first, "SELECT * FROM ks.t", asked);
  if (seed % 2) { /* either goes first */
    cql_session_free(first);
    cql_session_free(second);
  } else {
    cql_session_free(second);
    cql_session_free(first);
  }
  cql_sim_free(sim);
}

int main(void) {
  for (uint64_t seed = 1; seed <= 20; seed++) live(seed, seed % 3 ? "cassandra" : "scylla");
  return 0;
}
