/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands beside a sandbox and keeps it: where it is, what it may do, who it dies with.
 */
#include "unit.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>

#include "keeper/keeper.h"
#include "sandbox_kit.h"

static struct kit kit;

static int
open_group(void **state)
{
	kit_use_keeper(getenv("MAYFLY_KEEPER_PROBE"));
	kit_open(&kit, 16);
	return 0;
}

static int
close_group(void **state)
{
	kit_close(&kit);
	return 0;
}

static void
start_kept(struct kit_run *run, const char *const *arguments)
{
	struct sandbox_request request = {
		.kind = SANDBOX_INSTANCE, .limits = kit_limits, .output = -1, .wants_keeper = true};

	snprintf(request.tree, sizeof(request.tree), "%s", kit_tree);
	kit_start(&kit, run, &request, arguments);
	kit_await_start(run);
	assert_true(run->is_started);
}

static void
stop(struct kit_run *run)
{
	kit_stop(run);
	kit_await_end(run);
	assert_true(run->is_gone);
	kit_run_done(run);
}

/* What the stand-in gives for a path, or "subject". */
static size_t
ask(const struct kit_run *run, const char *question, char ret[static 4096])
{
	ssize_t n;

	assert_true(send(run->keeper, question, strlen(question), MSG_NOSIGNAL) > 0);
	n = recv(run->keeper, ret, 4095, 0);
	assert_true(n > 0);
	ret[n] = '\0';
	return (size_t)n;
}

static void
assert_line(const char *text, const char *line)
{
	OWN(mem) char *marked = mem_printf("\n%s\n", line);

	if (!strstr(text, marked))
		fail_msg("no line \"%s\" in: %s", line, text);
}

static void
a_sandbox_gets_a_keeper_only_when_it_is_asked_for(void **state)
{
	struct kit_run run;

	kit_start_probe(&kit, &run, (const char *const[]){"ignore", NULL});
	kit_await_start(&run);
	assert_int_equal(run.keeper, -1);
	stop(&run);
	start_kept(&run, (const char *const[]){"ignore", NULL});
	assert_true(run.keeper >= 0);
	stop(&run);
}

static void
it_may_trace_and_nothing_else(void **state)
{
	struct kit_run run;
	char text[4096];

	start_kept(&run, (const char *const[]){"ignore", NULL});
	ask(&run, "/proc/self/status", text);
	assert_line(text, "CapInh:\t0000000000080000");
	assert_line(text, "CapPrm:\t0000000000080000");
	assert_line(text, "CapEff:\t0000000000080000");
	assert_line(text, "CapAmb:\t0000000000080000");
	assert_line(text, "NoNewPrivs:\t1");
	assert_line(text, "Uid:\t1000\t1000\t1000\t1000");
	assert_line(text, "Gid:\t1000\t1000\t1000\t1000");
	ask(&run, "/proc/self/fd", text);
	assert_string_equal(text, "0 1 2 3 4 5 "); /* 5 is the folder being listed */
	ask(&run, "/", text);
	assert_string_equal(text, "proc ");
	stop(&run);
}

static void
it_learns_whom_it_keeps_and_sees_that_process(void **state)
{
	struct keeper_subject subject;
	struct kit_run run;
	char text[4096], path[64];

	start_kept(&run, (const char *const[]){"ignore", NULL});
	assert_int_equal(read(run.pipe, text, 6), 6); /* it runs */
	assert_int_equal(ask(&run, "subject", text), sizeof(subject));
	memcpy(&subject, text, sizeof(subject));
	assert_int_equal(subject.magic, KEEPER_MAGIC);
	assert_int_equal(subject.main_pid, 0);
	assert_int_equal(subject.channel, 3);
	snprintf(path, sizeof(path), "/proc/%d/comm", subject.init_pid);
	ask(&run, path, text);
	assert_string_equal(text, "mayfly-init\n");
	/* what only a tracer of its user may read */
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", subject.init_pid,
		subject.init_pid);
	ask(&run, path, text);
	snprintf(path, sizeof(path), "/proc/%d/fd", atoi(text));
	ask(&run, path, text);
	assert_string_equal(text, "0 1 2 3 ");
	/* and of no other */
	snprintf(path, sizeof(path), "/proc/%d/fd", kit.spawner_pid);
	ask(&run, path, text);
	assert_string_equal(text, "Permission denied");
	stop(&run);
}

static void
it_dies_with_its_sandbox(void **state)
{
	struct kit_run run;
	char byte;

	start_kept(&run, (const char *const[]){"exit", "3", NULL});
	kit_await_end(&run);
	assert_int_equal(run.exit.status, 3);
	assert_int_equal(recv(run.keeper, &byte, 1, 0), 0);
	kit_run_done(&run);
}

static void
a_sandbox_outlives_its_keeper(void **state)
{
	struct kit_run run;
	char text[8];

	start_kept(&run, (const char *const[]){"ignore", NULL});
	assert_int_equal(send(run.keeper, "exit", 4, MSG_NOSIGNAL), 4);
	assert_int_equal(recv(run.keeper, text, 1, 0), 0);
	assert_int_equal(read(run.pipe, text, sizeof(text)), 6);
	kit_turn(&kit, 50);
	assert_false(run.is_gone);
	stop(&run);
	start_kept(&run, (const char *const[]){"ignore", NULL});
	assert_true(run.keeper >= 0);
	stop(&run);
}

static struct kit_census
settled(void)
{
	struct kit_census now = kit_count(&kit), last;

	for (int n_same = 0; n_same < 20; n_same++) {
		last = now;
		kit_turn(&kit, 50);
		now = kit_count(&kit);
		if (memcmp(&now, &last, sizeof(now)) != 0)
			n_same = 0;
	}
	return now;
}

static void
fifty_keepers_leave_nothing_behind(void **state)
{
	struct kit_census before, after;
	struct kit_run run;

	/* Until every spare has its own. */
	for (int i = 0; i < 16; i++) {
		start_kept(&run, (const char *const[]){"ignore", NULL});
		stop(&run);
	}
	before = settled();
	for (int i = 0; i < 50; i++) {
		start_kept(&run, (const char *const[]){"ignore", NULL});
		if (i % 2)
			send(run.keeper, "exit", 4, MSG_NOSIGNAL);
		stop(&run);
	}
	after = settled();
	assert_int_equal(after.processes, before.processes);
	assert_int_equal(after.groups, before.groups);
	assert_int_equal(after.fds, before.fds);
	assert_int_equal(after.mounts, before.mounts);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		it(a_sandbox_gets_a_keeper_only_when_it_is_asked_for),
		it(it_may_trace_and_nothing_else),
		it(it_learns_whom_it_keeps_and_sees_that_process),
		it(it_dies_with_its_sandbox),
		it(a_sandbox_outlives_its_keeper),
		it(fifty_keepers_leave_nothing_behind),
	};

	return cmocka_run_group_tests(tests, open_group, close_group);
}
