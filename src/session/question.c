/* Questions: what the session asks its host. Each has a native default, taken when nobody answers
 * within question_timeout_ms of its delivery. */
#include "base/mem.h"
#include "session/session.h"

/* What it is about is whose it is: when that goes, the question goes. */
typedef struct cql__question {
  cql__list link;
  cql__timer timer;
  cql_session_t *session;
  cql__connection *connection; /* CQL_ASK_AUTHENTICATE */
  cql_node_t *node;            /* CQL_ASK_DISTANCE, CQL_ASK_ENDPOINT; referenced */
  void *owner;                 /* CQL_ASK_ENDPOINT: cql__endpoint_answered()'s */
  int type;
  uint32_t tag;
} cql__question;

static void drop(cql__question *question) {
  cql__list_remove(&question->link);
  cql__timer_cancel(&question->timer);
  cql_node_unref(question->node);
  cql__free(question);
}

static int is_answer(const cql__question *question, cql_slice_t answer) {
  cql__destination place;
  if (answer.length < 0 || question->type == CQL_ASK_AUTHENTICATE) return 1;
  if (question->type == CQL_ASK_ENDPOINT) return cql__endpoint_read(answer, &place);
  return cql__distance_of(answer) >= 0;
}

/* Ends it with the answer, or (length CQL_NULL) the native default. It is gone before anything is
 * done: what is done may end its connection, and thereby its questions. */
static void end(cql__question *question, cql_slice_t answer) {
  cql__question copy = *question;
  if (copy.node) cql_node_ref(copy.node);
  drop(question);
  if (copy.type == CQL_ASK_DISTANCE)
    cql__session_decide(copy.session, copy.node, answer);
  else if (copy.type == CQL_ASK_ENDPOINT)
    cql__endpoint_answered(copy.owner, answer);
  else
    cql__connection_token(copy.connection, answer.data, answer.length);
  cql_node_unref(copy.node);
}

/* A person should know: what follows may be a puzzle. */
static void tell_unanswered(const cql__question *question, const char *why) {
  if (question->type == CQL_ASK_ENDPOINT)
    cql__session_tell_node(question->session, CQL_EVENT_WARNING, question->node, why);
}

static void on_timeout(cql__timer *timer) {
  cql__question *question = cql__container(timer, cql__question, timer);
  tell_unanswered(question, "nobody told in time where it is reached: at its own address, then");
  end(question, (cql_slice_t){NULL, CQL_NULL});
}

static cql__question *find(cql_session_t *session, uint32_t tag) {
  for (cql__list *at = session->questions.next; at != &session->questions; at = at->next) {
    cql__question *question = cql__container(at, cql__question, link);
    if (question->tag == tag) return question;
  }
  return NULL;
}

static int ask(cql_session_t *session, const cql__question *about, cql_event_t *event) {
  cql__question *question = cql__malloc(sizeof *question);
  if (!question) return CQL_ENOMEM;
  *question = *about;
  question->session = session;
  question->tag = ++session->next_question;
  if (question->node) cql_node_ref(question->node);
  cql__timer_init(&question->timer, on_timeout);
  cql__list_append(&session->questions, &question->link);
  event->type = question->type;
  if (cql__queue_put(&session->queue, CQL_QUESTION, question->tag, event)) {
    drop(question);
    return CQL_ENOMEM;
  }
  return 1;
}

int cql__question_authenticate(void *owner, cql__connection *connection, const char *mechanism,
                               cql_slice_t challenge) {
  cql_session_t *session = connection->settings->user;
  (void)owner;
  if (!session->config->ask_authenticate) return 0;
  cql__question question = {.type = CQL_ASK_AUTHENTICATE, .connection = connection};
  cql_event_t event = cql__event_none;
  char address[CQL__ADDRESS_TEXT];
  cql__address_to_text(&connection->address, address);
  event.address = address;
  event.message = mechanism;
  event.data = challenge;
  return ask(session, &question, &event);
}

/* Asked anew: what was asked before is void, or its default would undo the answer to this. */
static void drop_about(cql_session_t *session, const cql_node_t *node) {
  for (cql__list *at = session->questions.next; at != &session->questions;) {
    cql__question *question = cql__container(at, cql__question, link);
    at = at->next;
    if (question->node == node && question->type == CQL_ASK_DISTANCE) drop(question);
  }
}

int cql__question_distance(cql_session_t *session, cql_node_t *node) {
  if (!session->config->ask_distance) return 0;
  drop_about(session, node);
  cql__question question = {.type = CQL_ASK_DISTANCE, .node = node};
  cql_event_t event = cql__event_none;
  event.address = node->text;
  event.node = node;
  return ask(session, &question, &event);
}

int cql__question_endpoint(void *user, cql_node_t *node, void *owner) {
  cql_session_t *session = user;
  cql__question question = {.type = CQL_ASK_ENDPOINT, .node = node, .owner = owner};
  cql_event_t event = cql__event_none;
  event.address = node->text;
  event.node = node;
  return ask(session, &question, &event);
}

void cql__question_forget(void *user, const void *owner) {
  cql_session_t *session = user;
  for (cql__list *at = session->questions.next; at != &session->questions;) {
    cql__question *question = cql__container(at, cql__question, link);
    at = at->next;
    if (question->owner == owner) drop(question);
  }
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
  cql_slice_t answer = {data, length};
  if (!is_answer(question, answer)) {
    tell_unanswered(question, "where it is reached was told in words that can't be understood");
    return CQL_EINVAL;
  }
  end(question, answer);
  return 0;
}

void cql__questions_drop(cql_session_t *session, const cql__connection *connection) {
  for (cql__list *at = session->questions.next; at != &session->questions;) {
    cql__question *question = cql__container(at, cql__question, link);
    at = at->next;
    if (!connection || question->connection == connection) drop(question);
  }
}
