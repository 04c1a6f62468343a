/* Questions: what the session asks its host. Each has a native default, taken when nobody answers
 * within question_timeout_ms of its delivery. */
#include "base/mem.h"
#include "session/session.h"

typedef struct cql__question {
  cql__list link;
  cql__timer timer;
  cql_session_t *session;
  cql__connection *connection;
  uint32_t tag;
} cql__question;

static void drop(cql__question *question) {
  cql__list_remove(&question->link);
  cql__timer_cancel(&question->timer);
  cql__free(question);
}

static void on_timeout(cql__timer *timer) {
  cql__question *question = cql__container(timer, cql__question, timer);
  cql__connection *connection = question->connection;
  drop(question);
  cql__connection_token(connection, NULL, CQL_NULL);
}

static cql__question *find(cql_session_t *session, uint32_t tag) {
  for (cql__list *at = session->questions.next; at != &session->questions; at = at->next) {
    cql__question *question = cql__container(at, cql__question, link);
    if (question->tag == tag) return question;
  }
  return NULL;
}

int cql__question_authenticate(void *owner, cql__connection *connection, const char *mechanism,
                               cql_slice_t challenge) {
  const cql__channel *channel = owner;
  cql_session_t *session = channel->node->cluster->user;
  if (!session->config->ask_authenticate) return 0;
  cql__question *question = cql__zalloc(sizeof *question);
  if (!question) return CQL_ENOMEM;
  question->session = session;
  question->connection = connection;
  question->tag = ++session->next_question;
  cql__timer_init(&question->timer, on_timeout);
  cql__list_append(&session->questions, &question->link);
  cql_event_t event = {CQL_ASK_AUTHENTICATE, 0, channel->node->text, mechanism, challenge};
  if (cql__queue_put(&session->queue, CQL_QUESTION, question->tag, &event)) {
    drop(question);
    return CQL_ENOMEM;
  }
  return 1;
}

void cql__question_delivered(cql_session_t *session, uint32_t tag) {
  cql__question *question = find(session, tag);
  if (!question) return;
  uint64_t now = cql__link_now(session->engine.link);
  cql__timer_set(&session->engine.wheel, &question->timer,
                 now + (uint64_t)session->config->question_timeout_ms);
}

int cql__session_answer(cql_session_t *session, uint32_t tag, const uint8_t *data, int32_t length) {
  cql__question *question = find(session, tag);
  if (!question || length < CQL_NULL || (length > 0 && !data)) return CQL_EINVAL;
  cql__connection *connection = question->connection;
  drop(question);
  cql__connection_token(connection, data, length);
  return 0;
}

void cql__questions_drop(cql_session_t *session, const cql__connection *connection) {
  for (cql__list *at = session->questions.next; at != &session->questions;) {
    cql__question *question = cql__container(at, cql__question, link);
    at = at->next;
    if (!connection || question->connection == connection) drop(question);
  }
}
