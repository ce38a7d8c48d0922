/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Main programs that are forked from a template: how they end, and how templates come and go. What
 * surrounds them is test_sandbox.c's, run with MAYFLY_KIT_TEMPLATE.
 */
#include "unit.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>

#include "keeper/keeper.h"
#include "sandbox_kit.h"

#define FORKS "20" /* that one template serves */

static struct kit kit;

static int
open_group(void **state)
{
	kit_use_keeper(getenv("MAYFLY_KEEPER_PROBE"));
	kit_use_template();
	setenv("MAYFLY_TEMPLATE_FORKS", FORKS, 1);
	kit_open(&kit, 32);
	return 0;
}

static int
close_group(void **state)
{
	kit_close(&kit);
	return 0;
}

/* Until one is forked: a template that died is started again after a while. */
static void
await_fork(void)
{
	struct kit_run run = {0};

	for (int i = 0; i < 3000 && !run.is_forked; i++) {
		kit_run_probe(&kit, &run, (const char *const[]){"exit", NULL});
		kit_run_done(&run);
		poll(NULL, 0, 10);
	}
	assert_true(run.is_forked);
}

static void
a_main_program_is_forked_and_its_exit_status_comes_back(void **state)
{
	struct kit_run run;

	await_fork();
	kit_run_probe(&kit, &run, (const char *const[]){"exit", "42", NULL});
	assert_true(run.is_forked);
	assert_int_equal(run.exit.failure.code, 0);
	assert_int_equal(run.exit.status, 42);
	assert_false(run.exit.was_asked);
	assert_true(run.exit.usage.cpu_us > 0);
	kit_run_done(&run);
}

static void
a_signal_that_ends_it_comes_back(void **state)
{
	struct kit_run run;

	kit_run_probe(&kit, &run, (const char *const[]){"signal", "11", NULL});
	assert_true(run.is_forked);
	assert_int_equal(run.exit.status, -SIGSEGV);
	kit_run_done(&run);
}

static void
its_end_ends_whatever_it_left_behind(void **state)
{
	struct kit_run run;

	kit_run_probe(&kit, &run, (const char *const[]){"orphans", NULL});
	assert_true(run.is_forked);
	assert_true(run.is_gone);
	assert_int_equal(run.exit.failure.code, 0);
	kit_run_done(&run);
}

static void
it_is_stopped_whatever_it_ignores(void **state)
{
	struct kit_run run;
	char text[8];

	kit_start_probe(&kit, &run, (const char *const[]){"ignore", NULL});
	kit_await_start(&run);
	assert_true(run.is_forked);
	assert_int_equal(read(run.pipe, text, sizeof(text)), 6);
	kit_stop(&run);
	kit_await_end(&run);
	assert_true(run.exit.was_asked);
	assert_int_equal(run.exit.status, -SIGKILL);
	kit_run_done(&run);
}

static void
it_ends_with_its_channel_before_init(void **state)
{
	struct sandbox_request request = {
		.kind = SANDBOX_INSTANCE, .limits = kit_limits, .output = -1};
	struct kit_run run;

	snprintf(request.tree, sizeof(request.tree), "%s", kit_tree);
	kit_start(&kit, &run, &request, NULL);
	kit_await_start(&run);
	assert_true(run.is_forked);
	close(run.channel);
	run.channel = -1;
	kit_await_end(&run);
	assert_true(run.is_gone);
	kit_run_done(&run);
}

/* The daemon learns that a program is gone by this, too. */
static void
pid_1_does_not_hold_its_channel_open(void **state)
{
	struct kit_run run;
	char byte;

	kit_start_probe(&kit, &run, (const char *const[]){"exit", "1", NULL});
	kit_await_start(&run);
	assert_true(run.is_forked);
	assert_int_equal(recv(run.channel, &byte, 1, 0), 0);
	kit_await_end(&run);
	kit_run_done(&run);
}

static void
its_keeper_is_told_its_number(void **state)
{
	struct sandbox_request request = {
		.kind = SANDBOX_INSTANCE, .limits = kit_limits, .output = -1, .wants_keeper = true};
	struct keeper_subject subject;
	struct kit_run run;
	char path[64], text[64] = "";

	snprintf(request.tree, sizeof(request.tree), "%s", kit_tree);
	kit_start(&kit, &run, &request, (const char *const[]){"ignore", NULL});
	kit_await_start(&run);
	assert_true(run.is_forked);
	assert_int_equal(send(run.keeper, "subject", 7, MSG_NOSIGNAL), 7);
	assert_int_equal(recv(run.keeper, &subject, sizeof(subject), 0), sizeof(subject));
	assert_true(subject.main_pid > 0);
	assert_int_not_equal(subject.main_pid, subject.init_pid);
	/* what a tracer without rights over the host may read of a fork */
	snprintf(path, sizeof(path), "/proc/%d/fd", subject.main_pid);
	/* it is told as soon as the fork is there, which closes what it came with a moment later */
	for (int i = 0; i < 1000 && strcmp(text, "0 1 2 3 ") != 0; i++) {
		memset(text, 0, sizeof(text));
		assert_true(send(run.keeper, path, strlen(path), MSG_NOSIGNAL) > 0);
		assert_true(recv(run.keeper, text, sizeof(text) - 1, 0) > 0);
		poll(NULL, 0, 1);
	}
	assert_string_equal(text, "0 1 2 3 ");
	kit_stop(&run);
	kit_await_end(&run);
	kit_run_done(&run);
}

/* Templates. */

static void
without_a_template_programs_are_booted_until_there_is_one_again(void **state)
{
	struct kit_run run;
	pid_t template;

	await_fork();
	template = kit_find_template(&kit);
	assert_true(template > 0);
	kill(template, SIGKILL);
	for (int i = 0; i < 1000 && kit_find_template(&kit) == template; i++)
		poll(NULL, 0, 1);
	kit_run_probe(&kit, &run, (const char *const[]){"exit", "5", NULL});
	assert_int_equal(run.exit.status, 5);
	kit_run_done(&run);
	await_fork();
	assert_int_not_equal(kit_find_template(&kit), template);
}

static void
a_template_that_dies_when_it_is_asked_makes_a_boot_of_it(void **state)
{
	struct kit_run run;
	pid_t template;

	await_fork();
	template = kit_find_template(&kit);
	kill(template, SIGSTOP);
	kit_start_probe(&kit, &run, (const char *const[]){"exit", "6", NULL});
	kit_turn(&kit, 200);
	assert_false(run.is_started);
	kill(template, SIGKILL);
	kit_await_end(&run);
	assert_true(run.is_started);
	assert_false(run.is_forked);
	assert_int_equal(run.exit.status, 6);
	kit_run_done(&run);
	await_fork();
}

static void
one_that_is_stopped_while_it_waits_for_its_fork_ends(void **state)
{
	struct kit_run run;
	pid_t template;

	await_fork();
	template = kit_find_template(&kit);
	kill(template, SIGSTOP);
	kit_start_probe(&kit, &run, (const char *const[]){"exit", "6", NULL});
	kit_turn(&kit, 100);
	kit_stop(&run);
	kit_await_end(&run);
	assert_true(run.is_gone);
	kill(template, SIGCONT);
	kit_run_done(&run);
	kit_run_probe(&kit, &run, (const char *const[]){"exit", "7", NULL});
	assert_int_equal(run.exit.status, 7);
	kit_run_done(&run);
}

static void
a_template_is_renewed_after_enough_forks(void **state)
{
	struct kit_run run;
	pid_t first;

	await_fork();
	first = kit_find_template(&kit);
	for (int i = 0; i < 60; i++) {
		kit_run_probe(&kit, &run, (const char *const[]){"exit", "0", NULL});
		assert_true(run.is_forked);
		kit_run_done(&run);
	}
	for (int i = 0; i < 100 && kill(first, 0) == 0; i++)
		kit_turn(&kit, 20);
	assert_int_equal(kill(first, 0), -1);
}

/* Zombies too: they are processes of the spawner. */
static int
children_of_the_spawner(void)
{
	OWN(mem)
	char *path = mem_printf("/proc/%d/task/%d/children", kit.spawner_pid, kit.spawner_pid);
	OWN(buf) struct buf text = BUF_INIT;
	int n = 0;

	path_read(path, 65536, &text, NULL);
	for (size_t i = 0; i < text.len; i++)
		n += text.at[i] == ' ';
	return n;
}

static struct kit_census
settled(int *ret_children)
{
	struct kit_census now = kit_count(&kit), last;

	for (int n_same = 0; n_same < 20; n_same++) {
		last = now;
		kit_turn(&kit, 50);
		now = kit_count(&kit);
		if (memcmp(&now, &last, sizeof(now)) != 0)
			n_same = 0;
	}
	*ret_children = children_of_the_spawner();
	return now;
}

static void
fifty_forks_leave_nothing_behind(void **state)
{
	static struct kit_run runs[10];
	int n_before, n_after;
	struct kit_census before = settled(&n_before), after;

	for (int round = 0; round < 5; round++) {
		for (size_t i = 0; i < 10; i++)
			kit_start_probe(&kit, &runs[i],
				i % 2 ? (const char *const[]){"orphans", NULL}
				      : (const char *const[]){"ignore", NULL});
		for (size_t i = 0; i < 10; i++) {
			kit_await_start(&runs[i]);
			if (i % 2 == 0)
				kit_stop(&runs[i]);
			kit_await_end(&runs[i]);
			assert_true(runs[i].is_gone);
			assert_int_equal(runs[i].exit.failure.code, 0);
			kit_run_done(&runs[i]);
		}
	}
	after = settled(&n_after);
	assert_int_equal(after.processes, before.processes);
	assert_int_equal(after.groups, before.groups);
	assert_int_equal(after.fds, before.fds);
	assert_int_equal(after.mounts, before.mounts);
	assert_int_equal(n_after, n_before);
}

static void
a_template_that_cannot_start_makes_boots(void **state)
{
	OWN(mem) char *path = mem_printf("%s/roots/probe/runtime/template", kit.folder);
	struct kit_run run;

	assert_int_equal(path_write(path, str_of("/bin/nothing\n"), 0644, NULL), 0);
	kill(kit_find_template(&kit), SIGKILL);
	for (int i = 0; i < 10; i++) {
		kit_turn(&kit, 50); /* attempts come meanwhile */
		kit_run_probe(&kit, &run, (const char *const[]){"exit", "8", NULL});
		assert_int_equal(run.exit.status, 8);
		kit_run_done(&run);
	}
	assert_false(run.is_forked);
	assert_int_equal(path_write(path, str_of("/bin/probe\ntemplate\n"), 0644, NULL), 0);
	await_fork();
}

static void
a_spawner_that_is_killed_takes_its_template_along(void **state)
{
	struct kit mine;
	pid_t template;

	kit_open(&mine, 8);
	template = kit_find_template(&mine);
	assert_true(template > 0);
	kill(mine.spawner_pid, SIGKILL);
	for (int i = 0; i < 200 && kill(template, 0) == 0; i++)
		poll(NULL, 0, 20);
	assert_int_equal(kill(template, 0), -1);
	kit_close(&mine);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		it(a_main_program_is_forked_and_its_exit_status_comes_back),
		it(a_signal_that_ends_it_comes_back),
		it(its_end_ends_whatever_it_left_behind),
		it(it_is_stopped_whatever_it_ignores),
		it(it_ends_with_its_channel_before_init),
		it(pid_1_does_not_hold_its_channel_open),
		it(its_keeper_is_told_its_number),
		it(without_a_template_programs_are_booted_until_there_is_one_again),
		it(a_template_that_dies_when_it_is_asked_makes_a_boot_of_it),
		it(one_that_is_stopped_while_it_waits_for_its_fork_ends),
		it(a_template_is_renewed_after_enough_forks),
		it(fifty_forks_leave_nothing_behind),
		it(a_template_that_cannot_start_makes_boots),
		it(a_spawner_that_is_killed_takes_its_template_along),
	};

	return cmocka_run_group_tests(tests, open_group, close_group);
}
