/* Time, and the sessions that live in it. */
#include "sim/world.h"

/* ---- events of the world's own ---- */

static void on_event(cql__sim_timer *timer) {
  cql__sim_event *event = cql__container(timer, cql__sim_event, timer);
  cql__list_remove(&event->link);
  event->happen(event->sim, event->what);
  cql__sim_release(event);
}

void cql__sim_later(cql_sim_t *sim, int64_t in_us, void (*happen)(cql_sim_t *sim, const int32_t *),
                    int32_t a, int32_t b, int32_t c, int32_t d) {
  cql__sim_event *event = cql__sim_alloc(sizeof *event);
  event->sim = sim;
  event->happen = happen;
  event->timer.fire = on_event;
  memcpy(event->what, (const int32_t[]){a, b, c, d}, sizeof event->what);
  cql__list_append(&sim->events, &event->link);
  cql__sim_timer_set(&sim->clock, &event->timer, sim->clock.now + in_us);
}

void cql__sim_events_free(cql_sim_t *sim) {
  while (!cql__list_empty(&sim->events)) {
    cql__sim_event *event = cql__container(sim->events.next, cql__sim_event, link);
    cql__sim_timer_cancel(&sim->clock, &event->timer);
    cql__list_remove(&event->link);
    cql__sim_release(event);
  }
}

/* ---- alarms ---- */

typedef struct alarm {
  cql__list link; /* in alarms, or in alarms_due */
  cql__sim_timer timer;
  cql_sim_t *sim;
  uint32_t tag;
} alarm;

static void on_alarm(cql__sim_timer *timer) {
  alarm *a = cql__container(timer, alarm, timer);
  cql__list_remove(&a->link);
  cql__list_append(&a->sim->alarms_due, &a->link);
}

int cql_sim_alarm_set(cql_sim_t *sim, int64_t at_us, uint32_t tag) {
  alarm *a = cql__sim_alloc(sizeof *a);
  a->sim = sim;
  a->tag = tag;
  a->timer.fire = on_alarm;
  cql__list_append(&sim->alarms, &a->link);
  cql__sim_timer_set(&sim->clock, &a->timer, at_us);
  return 0;
}

int cql_sim_alarm_take(cql_sim_t *sim, uint32_t *tag) {
  if (cql__list_empty(&sim->alarms_due)) return 0;
  alarm *a = cql__container(sim->alarms_due.next, alarm, link);
  *tag = a->tag;
  cql__list_remove(&a->link);
  cql__sim_release(a);
  return 1;
}

static void free_alarms(cql_sim_t *sim, cql__list *list) {
  while (!cql__list_empty(list)) {
    alarm *a = cql__container(list->next, alarm, link);
    cql__sim_timer_cancel(&sim->clock, &a->timer);
    cql__list_remove(&a->link);
    cql__sim_release(a);
  }
}

void cql__sim_alarms_free(cql_sim_t *sim) {
  free_alarms(sim, &sim->alarms);
  free_alarms(sim, &sim->alarms_due);
}

/* ---- hosts ---- */

static cql__sim_host *host_of(const cql__link *link) {
  const cql__sim_sockets *set = cql__container(link, cql__sim_sockets, link);
  return cql__container(set, cql__sim_host, sockets);
}

static cql__sim_host *find_host(const cql_sim_t *sim, const cql_session_t *session) {
  for (cql__list *l = sim->hosts.next; l != &sim->hosts; l = l->next) {
    cql__sim_host *host = cql__container(l, cql__sim_host, link);
    if (host->session == session) return host;
  }
  return NULL;
}

/* When it must wake whatever comes: by the virtual clock, whose milliseconds the session counts. */
static int64_t wake_of(cql__sim_host *host) {
  if (cql__sim_sockets_eager(&host->sockets)) return host->sim->clock.now;
  int64_t wait = cql__session_wait(host->session);
  if (wait < 0) return CQL__SIM_NEVER;
  if (wait == 0) return host->sim->clock.now;
  return (host->sim->clock.now / 1000 + wait) * 1000;
}

/* A wait is begun: what its timeout says now holds until it is stepped. */
static void begin_wait(cql_sim_t *sim) {
  for (cql__list *l = sim->hosts.next; l != &sim->hosts; l = l->next) {
    cql__sim_host *host = cql__container(l, cql__sim_host, link);
    host->wakes_at = wake_of(host);
  }
}

static int is_due(const cql__sim_host *host) {
  int64_t now = host->sim->clock.now;
  return now >= host->stalled_until &&
         (now >= host->wakes_at || cql__sim_sockets_ready(&host->sockets));
}

/* The next moment at which a host would wake by itself. */
static int64_t next_wake(const cql_sim_t *sim) {
  int64_t next = CQL__SIM_NEVER;
  for (cql__list *l = sim->hosts.next; l != &sim->hosts; l = l->next) {
    const cql__sim_host *host = cql__container(l, cql__sim_host, link);
    int64_t at = cql__sim_sockets_ready(&host->sockets) ? sim->clock.now : host->wakes_at;
    if (at != CQL__SIM_NEVER && at < host->stalled_until) at = host->stalled_until;
    if (at < next) next = at;
  }
  return next;
}

static int anyone_due(const cql_sim_t *sim) {
  for (cql__list *l = sim->hosts.next; l != &sim->hosts; l = l->next)
    if (is_due(cql__container(l, cql__sim_host, link))) return 1;
  return 0;
}

int64_t cql__sim_next(cql_sim_t *sim) {
  begin_wait(sim);
  if (!cql__list_empty(&sim->alarms_due) || anyone_due(sim)) return sim->clock.now;
  int64_t next = cql__sim_clock_next(&sim->clock), wake = next_wake(sim);
  return wake < next ? wake : next;
}

/* One thing happens, or the clock goes on to `limit`. 0: it stands there. */
static int advance(cql_sim_t *sim, int64_t limit) {
  int64_t next = cql__sim_clock_next(&sim->clock);
  if (next <= limit && next != CQL__SIM_NEVER) {
    cql__sim_clock_fire(&sim->clock);
    return 1;
  }
  if (limit != CQL__SIM_NEVER && limit > sim->clock.now) sim->clock.now = limit;
  return 0;
}

int cql_sim_run(cql_sim_t *sim, int64_t until_us) {
  begin_wait(sim);
  for (;;) {
    if (!cql__list_empty(&sim->alarms_due)) return CQL_SIM_ALARM;
    if (anyone_due(sim)) return CQL_SIM_SESSION;
    if (sim->clock.now >= until_us) return CQL_SIM_TIME;
    int64_t wake = next_wake(sim), limit = wake < until_us ? wake : until_us;
    if (!advance(sim, limit) && limit == CQL__SIM_NEVER) return CQL_SIM_IDLE;
  }
}

int cql_sim_pass(cql_sim_t *sim, int64_t us) {
  if (us < 0) return cql__sim_mistake(sim, CQL_EINVAL, "time goes on, not back");
  int64_t until = sim->clock.now + us;
  while (advance(sim, until)) {
  }
  return 0;
}

cql_session_t *cql_sim_due(cql_sim_t *sim) {
  begin_wait(sim);
  cql__list *start = sim->last_due ? sim->last_due->link.next : sim->hosts.next, *l = start;
  do {
    if (l != &sim->hosts) {
      cql__sim_host *host = cql__container(l, cql__sim_host, link);
      if (is_due(host)) {
        sim->last_due = host;
        return host->session;
      }
    }
    l = l->next;
  } while (l != start);
  return NULL;
}

/* ---- the host's half of the link ---- */

static int sim_fd(const cql__link *link) {
  (void)link;
  return CQL_EUNSUPPORTED;
}

static int sim_eager(const cql__link *link) {
  return cql__sim_sockets_eager(&host_of(link)->sockets);
}

/* The world goes on until the session's descriptor is readable or the wait is over; while its host
 * is stopped, also beyond that. */
static void wait_for(cql__sim_host *host, int64_t wait_ms) {
  cql_sim_t *sim = host->sim;
  int64_t until = wait_ms < 0 ? CQL__SIM_NEVER : (sim->clock.now / 1000 + wait_ms) * 1000;
  while (sim->clock.now < host->stalled_until && advance(sim, host->stalled_until)) {
  }
  if (wait_ms == 0) return;
  while (!cql__sim_sockets_ready(&host->sockets) && cql__list_empty(&sim->alarms_due) &&
         sim->clock.now < until && advance(sim, until)) {
  }
}

static int sim_step(cql__link *link, int64_t wait_ms) {
  cql__sim_host *host = host_of(link);
  wait_for(host, wait_ms);
  return cql__sim_sockets_tell(&host->sockets);
}

static void sim_fork(cql__link *link) { (void)link; }

static void sim_free(cql__link *link, int forked) {
  cql__sim_host *host = host_of(link);
  (void)forked;
  if (host->sim->last_due == host) host->sim->last_due = NULL;
  cql__sim_sockets_deinit(&host->sockets);
  cql__list_remove(&host->link);
  cql__sim_release(host);
}

static const cql__host_ops host_ops = {sim_fd, sim_eager, sim_step, sim_fork, sim_free};

/* ---- sessions ---- */

int cql_sim_session_new(cql_sim_t *sim, const cql_config_t *config, cql_session_t **out) {
  *out = NULL;
  cql__sim_host *host = cql__sim_alloc(sizeof *host);
  host->sim = sim;
  host->place = sim->next_place--;
  cql__sim_sockets_init(&host->sockets, &sim->clock.now, cql__rand_next(&sim->network),
                        &cql__sim_network_events, sim);
  host->sockets.wall_clock = CQL__SIM_EPOCH;
  cql__list_append(&sim->hosts, &host->link);
  int error = cql__session_new(config, &host->sockets.link, &host_ops, &host->session);
  if (!error && (error = cql__session_start(host->session))) {
    char *why = ((cql_config_t *)(uintptr_t)config)->error; /* the reason is told there */
    memcpy(why, host->session->config->error, sizeof config->error);
    cql__session_free(host->session);
  }
  if (error) {
    sim_free(&host->sockets.link, 0);
    return cql__sim_mistake(sim, error, "the session could not be made");
  }
  *out = host->session;
  return 0;
}

int cql_sim_session_place(cql_sim_t *sim, const cql_session_t *session) {
  const cql__sim_host *host = find_host(sim, session);
  return host ? host->place : cql__sim_mistake(sim, CQL_EINVAL, "a session of another world");
}

int cql_sim_session_due(cql_sim_t *sim, cql_session_t *session) {
  cql__sim_host *host = find_host(sim, session);
  if (!host) return cql__sim_mistake(sim, CQL_EINVAL, "a session of another world");
  host->wakes_at = wake_of(host);
  return is_due(host);
}

int cql_sim_session_stall(cql_sim_t *sim, cql_session_t *session, int64_t us) {
  cql__sim_host *host = find_host(sim, session);
  if (!host || us < 0) return cql__sim_mistake(sim, CQL_EINVAL, "a session of another world");
  host->stalled_until = sim->clock.now + us;
  return 0;
}
