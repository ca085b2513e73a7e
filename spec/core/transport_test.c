/* What of a request that changes something reaches the service when a connection fails: it, at most once. The table of
 * operations has none of these yet, so a POST with a form is driven here, as the driver would, through the core's call
 * and the transport, against spec/support/fault_server.py. */
#include "core/call.h"
#include "io/transport.h"
#include "test.h"

#include <sys/wait.h>
#include <unistd.h>

#define ANSWER "HTTP/1.1 200 OK\\r\\nContent-Length: 12\\r\\n\\r\\n{\\\"value\\\":[]}"
#define SERVES "[[\"expect\"],[\"send\",\"" ANSWER "\"],[\"drain\"]]"
/* The second request of the connection meets what follows. */
#define SERVES_ONCE "[[\"expect\"],[\"send\",\"" ANSWER "\"],"

/* --- the server --- */

typedef struct fault_server {
  pid_t pid;
  FILE *commands, *answers;
  char line[65536];
} fault_server;

static void become_server(const int commands[2], const int answers[2])
{
  dup2(commands[0], STDIN_FILENO);
  dup2(answers[1], STDOUT_FILENO);
  close(commands[1]);
  close(answers[0]);
  execlp("python3", "python3", "spec/support/fault_server.py", (char *)NULL);
  _exit(127);
}

/* Returns its port. It ends when its standard input does: with this process at the latest. */
static int server_start(fault_server *server)
{
  int commands[2], answers[2];
  assert_int_equal(pipe(commands), 0);
  assert_int_equal(pipe(answers), 0);
  server->pid = fork();
  if (server->pid == 0)
    become_server(commands, answers);
  close(commands[0]);
  close(answers[1]);
  server->commands = fdopen(commands[1], "w");
  server->answers = fdopen(answers[0], "r");
  assert_non_null(fgets(server->line, sizeof server->line, server->answers));
  return atoi(server->line);
}

static const char *server_ask(fault_server *server, const char *command, const char *more)
{
  fprintf(server->commands, "{\"%s\": %s}\n", command, more);
  fflush(server->commands);
  assert_non_null(fgets(server->line, sizeof server->line, server->answers));
  return server->line;
}

static size_t server_received(fault_server *server, const char *words)
{
  size_t count = 0;
  const char *at = server_ask(server, "report", "true");
  while ((at = strstr(at, words)) != NULL) {
    at += strlen(words);
    count++;
  }
  return count;
}

static void server_stop(fault_server *server)
{
  fclose(server->commands);
  fclose(server->answers);
  waitpid(server->pid, NULL, 0);
}

/* --- a driver --- */

typedef struct wire_world {
  fault_server server;
  mde_transport *transport;
  mde_memory memory;
  mde_operation operation;
  char url[64];
  mde_base_url base;
  mde_credential credential;
  mde_call call;
  uint32_t slots; /* taken of the quota */
} wire_world;

static const char FORM[] = "comment=once";

static void world_start(wire_world *world)
{
  *world = (wire_world){.memory = mde_memory_system};
  int length =
      snprintf(world->url, sizeof world->url, "http://127.0.0.1:%d", server_start(&world->server));
  assert_true(mde_base_url_parse(&world->base, world->url, (size_t)length));
  world->operation = *mde_operation_find("alert_ips", 9);
  mde_credential_init(&world->credential, &world->memory, false);
  assert_int_equal(mde_credential_set(&world->credential, (mde_slice){"T", 1}, MDE_TIME_NEVER),
                   MDE_OK);
}

/* Connections of its own for what comes. */
static void world_reconnect(wire_world *world)
{
  mde_transport_settings settings = {.user_agent = "transport_test"};
  mde_transport_close(world->transport);
  world->transport = mde_transport_open(&settings, &world->memory);
  assert_non_null(world->transport);
}

static void world_end(wire_world *world)
{
  mde_call_free(&world->call);
  mde_credential_free(&world->credential);
  mde_transport_close(world->transport);
  server_stop(&world->server);
}

static void attempt(wire_world *world, int64_t now_ms)
{
  mde_finished finished;
  mde_request request = mde_call_request(&world->call, now_ms);
  if (world->operation.changes)
    request.form = (mde_slice){FORM, sizeof FORM - 1};
  mde_call_sent(&world->call);
  assert_non_null(mde_transport_start(world->transport, &request, world));
  while (!mde_transport_take(world->transport, &finished))
    mde_transport_run(world->transport, 100);
  mde_call_feed(&world->call, &finished.outcome, now_ms, 0.5);
}

/* Waits are skipped: the call's clock is this number. */
static void drive(wire_world *world)
{
  int64_t now_ms = 1000;
  while (!mde_call_finished(&world->call)) {
    switch (mde_call_next(&world->call, now_ms)) {
    case MDE_CALL_QUOTA:
      world->slots++;
      mde_call_grant(&world->call, now_ms);
      break;
    case MDE_CALL_WAIT:
      now_ms = mde_call_wake_ms(&world->call);
      break;
    case MDE_CALL_SEND:
      attempt(world, now_ms);
      break;
    default:
      mde_call_page(&world->call, 0, (mde_slice){"", 0});
      break;
    }
  }
}

static const mde_failure *call(wire_world *world, const char *method)
{
  static const mde_call_limits limits = {.timeout_ms = 2000,
                                         .connect_timeout_ms = 2000,
                                         .budget_ms = MDE_TIME_NEVER,
                                         .max_attempts = 4,
                                         .max_body_bytes = 1000};
  mde_slice id = {"da1", 3};
  mde_query query = {0};
  mde_call_free(&world->call);
  world->operation.method = method;
  world->operation.changes = strcmp(method, "POST") == 0;
  mde_call_init(&world->call, &world->operation, &world->credential, &limits, &world->memory, 0);
  assert_int_equal(
      mde_paging_first(&world->call.paging, &world->base, &world->operation, &id, &query), MDE_OK);
  drive(world);
  return world->call.need == MDE_CALL_DONE ? NULL : &world->call.failure;
}

/* --- what happens to the second request of a connection --- */

typedef struct wire_fate {
  const char *name, *script;
} wire_fate;

static const wire_fate broken[] = {
    {"closed as the request comes", "[" SERVES_ONCE "[\"expect\"],[\"close\"]]," SERVES "]"},
    {"reset as the request comes", "[" SERVES_ONCE "[\"expect\"],[\"reset\"]]," SERVES "]"},
    {"closed within the request", "[" SERVES_ONCE "[\"read\"],[\"close\"]]," SERVES "]"},
    {"cut within the head",
     "[" SERVES_ONCE "[\"expect\"],[\"send\",\"HTTP/1.1 200\"],[\"close\"]]," SERVES "]"},
    {"cut within the body",
     "[" SERVES_ONCE
     "[\"expect\"],[\"send\",\"HTTP/1.1 200 OK\\r\\nContent-Length: 9\\r\\n\\r\\n{\"],[\"close\"]],"
     "" SERVES "]"},
    {"answered with 500",
     "[" SERVES_ONCE "[\"expect\"],[\"send\",\"HTTP/1.1 500 No\\r\\nConnection: close\\r\\n"
     "Content-Length: 0\\r\\n\\r\\n\"],[\"close\"]]," SERVES "]"},
};

static void meets(wire_world *world, const wire_fate *fate)
{
  print_message("%s\n", fate->name);
  server_ask(&world->server, "play", fate->script);
  world_reconnect(world);
  assert_null(call(world, "GET"));
  assert_int_equal(world->call.requests, 1);
  world->slots = 0;
}

static void a_post_is_sent_once_and_its_outcome_unknown(void **state)
{
  (void)state;
  wire_world world;
  world_start(&world);
  for (size_t i = 0; i < TEST_COUNT(broken); i++) {
    meets(&world, &broken[i]);
    const mde_failure *failure = call(&world, "POST");
    assert_non_null(failure);
    assert_true(failure->unknown);
    assert_false(failure->retryable);
    assert_int_equal(failure->attempts, 1);
    assert_int_equal(world.slots, 1);
    assert_int_equal(server_received(&world.server, "POST /"), 1);
    assert_int_equal(server_received(&world.server, FORM), 1);
  }
  world_end(&world);
}

static void a_get_is_sent_again_with_a_slot_and_a_count_for_each(void **state)
{
  (void)state;
  wire_world world;
  world_start(&world);
  for (size_t i = 0; i < TEST_COUNT(broken); i++) {
    meets(&world, &broken[i]);
    assert_null(call(&world, "GET"));
    assert_int_equal(world.call.requests, 2);
    assert_int_equal(world.slots, 2);
    assert_int_equal(server_received(&world.server, "GET /"), 1 + 2);
  }
  world_end(&world);
}

/* --- what was never taken --- */

static const wire_fate untaken[] = {
    {"turned away by 429",
     "[" SERVES_ONCE "[\"expect\"],[\"send\",\"HTTP/1.1 429 No\\r\\nConnection: close\\r\\n"
     "Content-Length: 0\\r\\n\\r\\n\"],[\"close\"]]," SERVES "]"},
    {"turned away by 503",
     "[" SERVES_ONCE
     "[\"expect\"],[\"send\",\"HTTP/1.1 503 No\\r\\nConnection: close\\r\\nRetry-After: 1\\r\\n"
     "Content-Length: 0\\r\\n\\r\\n\"],[\"close\"]]," SERVES "]"},
};

static void a_post_that_was_turned_away_is_sent_again(void **state)
{
  (void)state;
  wire_world world;
  world_start(&world);
  for (size_t i = 0; i < TEST_COUNT(untaken); i++) {
    meets(&world, &untaken[i]);
    assert_null(call(&world, "POST"));
    assert_int_equal(world.slots, 2);
    assert_int_equal(server_received(&world.server, "POST /"), 2);
  }
  world_end(&world);
}

/* The bug: libcurl 7.88 wrote the request to a connection on which something had come unasked, and took
 * that for its answer. */
static void a_post_does_not_go_to_a_connection_that_has_spoken(void **state)
{
  (void)state;
  static const wire_fate spoken = {"speaks while at rest",
                                   "[" SERVES_ONCE "[\"wait\", 0.01],"
                                   "[\"send\",\"" ANSWER "\"],[\"drain\"]]," SERVES "]"};
  wire_world world;
  world_start(&world);
  meets(&world, &spoken);
  usleep(50000);
  assert_null(call(&world, "POST"));
  assert_int_equal(world.call.requests, 1);
  assert_int_equal(server_received(&world.server, "POST /"), 1);
  world_end(&world);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_post_is_sent_once_and_its_outcome_unknown),
      cmocka_unit_test(a_get_is_sent_again_with_a_slot_and_a_count_for_each),
      cmocka_unit_test(a_post_that_was_turned_away_is_sent_again),
      cmocka_unit_test(a_post_does_not_go_to_a_connection_that_has_spoken),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
