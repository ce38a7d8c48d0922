/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real programs, real calls: whatever a call does, the next one finds what the first one found.
 */
#include "unit.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "keeper_kit.h"

#define CALLS 300

static struct keeper_kit kit;
static const char *last_call;

static const char python[] = "import json, gc, socket\n"
			     "count, kept = 0, []\n"
			     "def handle(line):\n"
			     "    global count\n"
			     "    count += 1\n"
			     "    event = json.loads(line) if line[0] == 123 else {}\n"
			     "    kept.append(event)\n"
			     "    if 'large' in event:\n"
			     "        kept.append(json.loads(json.dumps([{'n': i, 's': 'x' * 40}\n"
			     "            for i in range(event['large'])])))\n"
			     "    if 'bytes' in event:\n"
			     "        kept.append(bytearray(event['bytes']))\n"
			     "    if 'collect' in event:\n"
			     "        gc.collect()\n"
			     "    return f'{count} {len(kept)}\\n'.encode()\n"
			     "channel = socket.socket(fileno=3)\n"
			     "while line := channel.recv(65536):\n"
			     "    channel.sendall(handle(line))\n";

static const char node[] =
	"const net = require('net');\n"
	"const channel = new net.Socket({fd: 3, readable: true, writable: true});\n"
	"let count = 0; const kept = [];\n"
	"channel.on('data', data => {\n"
	"  const line = data.toString(), event = line[0] === '{' ? JSON.parse(line) : {};\n"
	"  count++; kept.push(event);\n"
	"  if (event.large) kept.push(JSON.parse(JSON.stringify(\n"
	"    Array.from({length: event.large}, (_, n) => ({n, s: 'x'.repeat(40)})))));\n"
	"  if (event.bytes) kept.push(Buffer.alloc(event.bytes, 1));\n"
	"  if (event.collect) { for (let i = 0; i < 50; i++) kept.push(new Array(20000).fill(i)); "
	"}\n"
	"  channel.write(`${count} ${kept.length}\\n`);\n"
	"});\n";

static void
start_subject(const char *threads)
{
	const char *argv[] = {getenv("MAYFLY_SUBJECT"), threads, NULL};

	kit_start(&kit, argv);
}

static void
keep(enum keeper_mechanism mechanism)
{
	struct keeper_reply reply = kit_keep(&kit, mechanism);

	assert_string_equal(reply.text, "");
	assert_int_equal(reply.event, KEEPER_KEPT);
	assert_int_equal(reply.cause, KEEPER_CAUSE_NONE);
}

static struct keeper_reply
renew(void)
{
	struct keeper_reply reply = kit_renew(&kit);

	if (reply.event != KEEPER_RENEWED)
		fail_msg("spoilt after %s: %s", last_call, reply.text);
	assert_string_equal(reply.text, "");
	return reply;
}

static void
call(const char *line, char ret[static 4096])
{
	last_call = line;
	assert_true(kit_call(&kit, line, ret, 4096) > 0);
}

/* ---- deeds of a program in C ---- */

static void
deeds_are_undone(enum keeper_mechanism mechanism, const char *threads)
{
	static const char *const deeds[] = {"thread", "map", "unmap", "unmap_all", "map_anew",
		"give_back", "move", "protect", "fill", "constant", "constant_file", "code", "brk",
		"brk_down", "allocate", "stack", "mask", "name", "fork"};
	char first[4096], now[4096];

	start_subject(threads);
	keep(mechanism);
	call("state", first);
	renew();
	for (size_t i = 0; i < 4 * sizeof(deeds) / sizeof(*deeds); i++) {
		const char *deed = deeds[i % (sizeof(deeds) / sizeof(*deeds))];

		call(deed, now);
		renew();
		call("state", now);
		if (strcmp(now, first) != 0)
			fail_msg("after %s:\n%s, not\n%s", deed, now, first);
		renew();
	}
	kit_stop(&kit);
}

static void
rollback_undoes_every_deed_of_a_program(void **state)
{
	deeds_are_undone(KEEPER_ROLLBACK, NULL);
}

static void
rollback_undoes_every_deed_of_a_program_with_threads(void **state)
{
	deeds_are_undone(KEEPER_ROLLBACK, "5");
}

static void
a_fork_per_call_undoes_every_deed_of_a_program(void **state)
{
	deeds_are_undone(KEEPER_FORK, NULL);
}

static void
what_was_undone_is_counted(void **state)
{
	char answer[4096];
	struct keeper_reply reply;

	start_subject(NULL);
	reply = kit_keep(&kit, KEEPER_ROLLBACK);
	assert_int_equal(reply.event, KEEPER_KEPT);
	assert_true(reply.figures.snapshot_kib > 256);
	assert_true(reply.figures.n_tracked_kib > reply.figures.snapshot_kib);
	assert_true(reply.figures.tracker == KEEPER_PAGEMAP_SCAN ||
		    reply.figures.tracker == KEEPER_SOFT_DIRTY);
	call("thread", answer);
	assert_int_equal(renew().figures.n_threads, 3);
	call("map", answer);
	reply = renew();
	assert_true(reply.figures.n_mappings > 0);
	assert_true(reply.figures.n_dropped_kib >= 1200);
	call("fill", answer);
	assert_true(renew().figures.n_pages >= 64);
	call("fork", answer);
	assert_int_equal(renew().figures.n_processes, 1);
	kit_stop(&kit);
}

/* ---- runtimes ---- */

static void
a_counter_stays(const char *const *argv, enum keeper_mechanism mechanism)
{
	static const char *const events[] = {"{}", "{\"large\": 20000}", "{\"bytes\": 52428800}",
		"{\"collect\": 1}", "{\"name\": \"x\"}"};
	char first[5][4096], now[4096];

	kit_start(&kit, argv);
	for (int i = 0; i < 50; i++)
		call(events[i % 5 == 2 ? 0 : i % 5], now);
	keep(mechanism);
	for (int i = 0; i < CALLS; i++) {
		int which = i < 5 ? i : i % 15 == 0 ? 1 + i / 15 % 3 : 0;

		call(events[which], i < 5 ? first[i] : now);
		if (i >= 5)
			assert_string_equal(now, first[which]);
		renew();
	}
	assert_string_equal(first[0], first[4]);
	kit_stop(&kit);
}

static void
three_hundred_calls_of_python_find_the_same_state(void **state)
{
	const char *argv[] = {"/usr/bin/python3", "-S", "-c", python, NULL};

	a_counter_stays(argv, KEEPER_ROLLBACK);
}

static void
three_hundred_calls_of_node_find_the_same_state(void **state)
{
	const char *argv[] = {"/usr/bin/node", "-e", node, NULL};

	a_counter_stays(argv, KEEPER_ROLLBACK);
}

static void
three_hundred_forks_of_python_find_the_same_state(void **state)
{
	const char *argv[] = {"/usr/bin/python3", "-S", "-c", python, NULL};

	a_counter_stays(argv, KEEPER_FORK);
}

/* ---- what cannot be brought back ---- */

static void
a_fork_of_many_threads_is_refused_and_the_program_goes_on(void **state)
{
	struct keeper_reply reply;
	char answer[4096];

	start_subject("3");
	reply = kit_keep(&kit, KEEPER_FORK);
	assert_int_equal(reply.event, KEEPER_UNABLE);
	assert_int_equal(reply.cause, KEEPER_CAUSE_THREADS);
	call("state", answer);
	keep(KEEPER_ROLLBACK);
	call("state", answer);
	renew();
	kit_stop(&kit);
}

/* NONE: whatever is found first. */
static void
the_deed_spoils(const char *deed, enum keeper_cause cause)
{
	struct keeper_reply reply;
	char answer[4096];

	start_subject(NULL);
	keep(KEEPER_ROLLBACK);
	call("state", answer);
	renew();
	call(deed, answer);
	reply = kit_renew(&kit);
	assert_int_equal(reply.event, KEEPER_SPOILT);
	assert_true(reply.cause == cause || cause == KEEPER_CAUSE_NONE);
	assert_true(reply.text[0] != '\0');
	reply = kit_renew(&kit);
	assert_int_equal(reply.event, KEEPER_SPOILT);
	kit_stop(&kit);
}

static void
a_program_that_changes_the_keepers_code_is_spoilt(void **state)
{
	the_deed_spoils("keeper", KEEPER_CAUSE_LAYOUT);
}

static void
a_file_that_is_mapped_in_other_pieces_spoils(void **state)
{
	the_deed_spoils("split", KEEPER_CAUSE_LAYOUT);
}

static void
a_program_that_becomes_another_is_spoilt(void **state)
{
	the_deed_spoils("exec", KEEPER_CAUSE_NONE);
}

static void
what_was_not_kept_is_not_renewed(void **state)
{
	struct keeper_reply reply;
	char answer[4096];

	start_subject(NULL);
	reply = kit_renew(&kit);
	assert_int_equal(reply.event, KEEPER_SPOILT);
	call("state", answer);
	kit_stop(&kit);
}

static void
a_keeper_that_dies_takes_a_held_program_with_it(void **state)
{
	char answer[4096];

	start_subject(NULL);
	keep(KEEPER_FORK);
	call("state", answer);
	kill(kit.keeper, SIGKILL);
	assert_true(WEXITSTATUS(kit_await_end(&kit)) == 128 + SIGKILL);
	kit_stop(&kit);
}

static void
a_keeper_that_dies_between_calls_leaves_its_program_alone(void **state)
{
	char answer[4096];

	start_subject(NULL);
	keep(KEEPER_ROLLBACK);
	call("state", answer);
	renew();
	kill(kit.keeper, SIGKILL);
	waitpid(kit.keeper, NULL, 0);
	call("state", answer);
	kit_stop(&kit);
}

static void
the_program_ends_as_its_fork_does(void **state)
{
	char answer[4096];

	start_subject(NULL);
	keep(KEEPER_FORK);
	assert_int_equal(kit_call(&kit, "exit", answer, sizeof(answer)), 0);
	assert_int_equal(WEXITSTATUS(kit_await_end(&kit)), 7);
	kit_stop(&kit);
	start_subject(NULL);
	keep(KEEPER_FORK);
	assert_int_equal(kit_call(&kit, "crash", answer, sizeof(answer)), 0);
	assert_int_equal(WEXITSTATUS(kit_await_end(&kit)), 128 + SIGSEGV);
	kit_stop(&kit);
}

UNIT_TESTS(it(rollback_undoes_every_deed_of_a_program),
	it(rollback_undoes_every_deed_of_a_program_with_threads),
	it(a_fork_per_call_undoes_every_deed_of_a_program), it(what_was_undone_is_counted),
	it(three_hundred_calls_of_python_find_the_same_state),
	it(three_hundred_calls_of_node_find_the_same_state),
	it(three_hundred_forks_of_python_find_the_same_state),
	it(a_fork_of_many_threads_is_refused_and_the_program_goes_on),
	it(a_program_that_changes_the_keepers_code_is_spoilt),
	it(a_file_that_is_mapped_in_other_pieces_spoils),
	it(a_program_that_becomes_another_is_spoilt), it(what_was_not_kept_is_not_renewed),
	it(a_keeper_that_dies_takes_a_held_program_with_it),
	it(a_keeper_that_dies_between_calls_leaves_its_program_alone),
	it(the_program_ends_as_its_fork_does))
