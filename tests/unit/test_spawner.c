/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "sandbox/spawner_protocol.h"
#include "sandbox_kit.h"

static struct kit kit;

static int
open_group(void **state)
{
	kit_open(&kit, KIT_SANDBOXES_MAX);
	return 0;
}

static int
close_group(void **state)
{
	kit_close(&kit);
	return 0;
}

/* The gate. */

static const struct spawner_bounds bounds = {.n_sandboxes = 8, .n_roots = 2};

static struct spawner_request
valid_start(void)
{
	struct spawner_request request = {.magic = SPAWNER_MAGIC,
		.op = SPAWNER_START,
		.sandbox = 7,
		.root = 1,
		.limits = kit_limits};

	snprintf(request.tree, sizeof(request.tree), "%s", kit_tree);
	return request;
}

static int
check(const struct spawner_request *request, size_t n_fds, struct err *err)
{
	*err = (struct err){0};
	return spawner_protocol_check(request, sizeof(*request), n_fds, &bounds, err);
}

static void
a_start_in_order_is_taken(void **state)
{
	struct spawner_request request = valid_start();
	struct err err;

	assert_int_equal(check(&request, 3, &err), 0);
	request.has_output = 1;
	assert_int_equal(check(&request, 4, &err), 0);
	snprintf(request.deps, sizeof(request.deps), "%s", kit_deps);
	assert_int_equal(check(&request, 4, &err), 0);
}

static void
a_request_of_another_size_or_magic_is_refused(void **state)
{
	struct spawner_request request = valid_start();
	struct err err = {0};

	assert_int_equal(spawner_protocol_check(&request, sizeof(request) - 1, 3, &bounds, &err),
		ERR_INVALID);
	request.magic++;
	assert_int_equal(check(&request, 3, &err), ERR_INVALID);
}

static void
a_wrong_number_of_descriptors_is_refused(void **state)
{
	struct spawner_request request = valid_start();
	struct err err;

	assert_int_equal(check(&request, 2, &err), ERR_INVALID);
	assert_int_equal(check(&request, 4, &err), ERR_INVALID);
	request.op = SPAWNER_STOP;
	assert_int_equal(check(&request, 1, &err), ERR_INVALID);
	assert_int_equal(check(&request, 0, &err), 0);
}

static void
a_tree_that_is_no_digest_is_refused(void **state)
{
	static const char *const trees[] = {"", "../../../../../../../../../etc",
		"1111111111111111111111111111111111111111111111111111111111111",
		"111111111111111111111111111111111111111111111111111111111111111/",
		"111111111111111111111111111111111111111111111111111111111111111A"};
	struct spawner_request request;
	struct err err;

	for (size_t i = 0; i < sizeof(trees) / sizeof(*trees); i++) {
		request = valid_start();
		memset(request.tree, 0, sizeof(request.tree));
		snprintf(request.tree, sizeof(request.tree), "%s", trees[i]);
		assert_int_equal(check(&request, 3, &err), ERR_INVALID);
		assert_string_equal(err.field, "tree");
	}
	request = valid_start();
	request.tree[ID_SHA256_SIZE - 1] = '1'; /* no end */
	assert_int_equal(check(&request, 3, &err), ERR_INVALID);
	request = valid_start();
	request.deps[1] = '1'; /* hidden behind an empty text */
	assert_int_equal(check(&request, 3, &err), ERR_INVALID);
	assert_string_equal(err.field, "deps");
}

static void
indexes_out_of_range_are_refused(void **state)
{
	struct spawner_request request = valid_start();
	struct err err;

	request.root = 2;
	assert_int_equal(check(&request, 3, &err), ERR_INVALID);
	request.root = UINT32_MAX;
	assert_int_equal(check(&request, 3, &err), ERR_INVALID);
	request = valid_start();
	request.sandbox = 8;
	assert_int_equal(check(&request, 3, &err), ERR_INVALID);
	request = valid_start();
	request.kind = 3;
	assert_int_equal(check(&request, 3, &err), ERR_INVALID);
	request = valid_start();
	request.op = 4;
	assert_int_equal(check(&request, 0, &err), ERR_INVALID);
}

static void
limits_beyond_sense_are_refused(void **state)
{
	struct {
		const char *field;
		struct sandbox_limits limits;
	} rows[9];
	struct err err;

	for (size_t i = 0; i < 9; i++)
		rows[i].limits = kit_limits;
	rows[0].field = "limits.memory_bytes", rows[0].limits.memory_bytes = 4096;
	rows[1].field = "limits.memory_bytes", rows[1].limits.memory_bytes = UINT64_MAX;
	rows[2].field = "limits.cpu_weight", rows[2].limits.cpu_weight = 0;
	rows[3].field = "limits.cpu_percent", rows[3].limits.cpu_percent = UINT32_MAX;
	rows[4].field = "limits.processes", rows[4].limits.processes = 1;
	rows[5].field = "limits.open_files", rows[5].limits.open_files = 3;
	rows[6].field = "limits.tmp_bytes", rows[6].limits.tmp_bytes = 0;
	rows[7].field = "limits.file_bytes", rows[7].limits.file_bytes = UINT64_MAX;
	rows[8].field = "limits.unpacked_entries", rows[8].limits.unpacked_entries = UINT32_MAX;
	for (size_t i = 0; i < 9; i++) {
		struct spawner_request request = valid_start();

		request.limits = rows[i].limits;
		assert_int_equal(check(&request, 3, &err), ERR_INVALID);
		assert_string_equal(err.field, rows[i].field);
	}
}

/* Lives. */

static void
a_sandbox_starts_and_its_exit_status_comes_back(void **state)
{
	struct kit_run run;

	kit_run_probe(&kit, &run, (const char *const[]){"exit", "42", NULL});
	assert_true(run.is_started);
	assert_true(run.is_gone);
	assert_int_equal(run.exit.failure.code, 0);
	assert_int_equal(run.exit.status, 42);
	assert_false(run.exit.was_asked);
	kit_run_done(&run);
}

static void
a_signal_that_ends_the_main_program_comes_back(void **state)
{
	struct kit_run run;

	kit_run_probe(&kit, &run, (const char *const[]){"signal", "11", NULL});
	assert_int_equal(run.exit.status, -SIGSEGV);
	kit_run_done(&run);
}

static void
a_program_that_is_not_there_is_named(void **state)
{
	static const char init[] = "MAYFLY_COMMAND_0=/bin/nothing";
	struct sandbox_request request = {
		.kind = SANDBOX_INSTANCE, .limits = kit_limits, .output = -1};
	struct kit_run run;
	uint32_t head[4] = {sizeof(init), 1, 0, 0};

	snprintf(request.tree, sizeof(request.tree), "%s", kit_tree);
	kit_start(&kit, &run, &request, NULL);
	assert_int_equal(write(run.channel, head, sizeof(head)), sizeof(head));
	assert_int_equal(write(run.channel, init, sizeof(init)), sizeof(init));
	kit_await_end(&run);
	assert_int_equal(run.exit.status, 127);
	assert_string_equal(
		run.out.at, "mayfly: cannot start /bin/nothing: No such file or directory\n");
	kit_run_done(&run);
}

static void
a_tree_that_is_not_there_is_named(void **state)
{
	struct sandbox_request request = {
		.kind = SANDBOX_INSTANCE, .limits = kit_limits, .output = -1};
	struct kit_run run;

	memset(request.tree, 'e', ID_SHA256_SIZE - 1);
	kit_start(&kit, &run, &request, (const char *const[]){"exit", NULL});
	kit_await_end(&run);
	assert_false(run.is_started);
	assert_true(run.is_gone);
	assert_int_equal(run.exit.failure.code, ERR_NOT_FOUND);
	assert_non_null(strstr(run.exit.failure.text, "there is no tree eeee"));
	kit_run_done(&run);
}

static void
a_step_that_fails_says_which_and_why(void **state)
{
	struct sandbox_request request = {
		.kind = SANDBOX_INSTANCE, .limits = kit_limits, .output = -1};
	OWN(mem) char *code = mem_printf("%s/roots/probe/deps", kit.folder);
	struct kit_run run;

	snprintf(request.tree, sizeof(request.tree), "%s", kit_tree);
	snprintf(request.deps, sizeof(request.deps), "%s", kit_deps);
	assert_int_equal(rmdir(code), 0);
	kit_start(&kit, &run, &request, (const char *const[]){"exit", NULL});
	kit_await_end(&run);
	assert_int_equal(mkdir(code, 0755), 0);
	assert_false(run.is_started);
	assert_string_equal(run.exit.failure.text,
		"mounting the dependencies: at /deps: No such file or directory");
	assert_int_equal(run.exit.failure.sys, ENOENT);
	kit_run_done(&run);
}

static void
a_sandbox_that_is_stopped_ends_whatever_it_ignores(void **state)
{
	struct kit_run run;
	char text[8];

	kit_start_probe(&kit, &run, (const char *const[]){"ignore", NULL});
	kit_await_start(&run);
	assert_int_equal(read(run.pipe, text, sizeof(text)), 6);
	kit_stop(&run);
	kit_stop(&run);
	kit_await_end(&run);
	assert_true(run.is_gone);
	assert_true(run.exit.was_asked);
	assert_int_equal(run.exit.status, -SIGKILL);
	kit_run_done(&run);
}

static void
a_sandbox_whose_channel_ends_before_init_ends(void **state)
{
	struct sandbox_request request = {
		.kind = SANDBOX_INSTANCE, .limits = kit_limits, .output = -1};
	struct kit_run run;

	snprintf(request.tree, sizeof(request.tree), "%s", kit_tree);
	kit_start(&kit, &run, &request, NULL);
	kit_await_start(&run);
	close(run.channel);
	run.channel = -1;
	kit_await_end(&run);
	assert_true(run.is_gone);
	kit_run_done(&run);
}

static void
cpu_time_is_metered_while_it_runs_and_at_its_end(void **state)
{
	struct sandbox_usage usage;
	struct kit_run run;

	thread_on_loop();
	kit_start_probe(&kit, &run, (const char *const[]){"burn", NULL});
	kit_await_start(&run);
	sandbox_reset_peak(run.sandbox);
	poll(NULL, 0, 100);
	sandbox_usage(run.sandbox, &usage);
	assert_true(usage.cpu_us > 0);
	assert_true(usage.memory_peak_bytes > 0);
	assert_true(sandbox_cpu_us(run.sandbox) >= usage.cpu_us);
	kit_await_end(&run);
	assert_true(run.exit.usage.cpu_us >= 200000);
	assert_true(run.exit.usage.cpu_us < 2000000);
	kit_run_done(&run);
}

static void
more_sandboxes_than_there_are_is_an_error_at_once(void **state)
{
	static struct kit_run runs[KIT_SANDBOXES_MAX];
	struct sandbox_request request = {.root = &kit.root, .limits = kit_limits, .output = -1};
	struct sandbox *sandbox;
	struct err err = {0};

	thread_on_loop();
	for (size_t i = 0; i < KIT_SANDBOXES_MAX; i++)
		kit_start_probe(&kit, &runs[i], (const char *const[]){"ignore", NULL});
	assert_int_equal(spawner_ask(kit.spawner, &request, &sandbox, &err), ERR_UNAVAILABLE);
	for (size_t i = 0; i < KIT_SANDBOXES_MAX; i++) {
		kit_await_start(&runs[i]);
		assert_true(runs[i].is_started);
	}
	for (size_t i = 0; i < KIT_SANDBOXES_MAX; i++)
		kit_stop(&runs[i]);
	for (size_t i = 0; i < KIT_SANDBOXES_MAX; i++) {
		kit_await_end(&runs[i]);
		assert_true(runs[i].is_gone);
		kit_run_done(&runs[i]);
	}
}

/* Trees. */

static int
unpack(const char *archive, const char *tree, struct kit_run *run)
{
	struct sandbox_request request = {
		.kind = SANDBOX_UNPACK, .limits = kit_limits, .output = -1};

	request.limits.unpacked_bytes = 1000;
	snprintf(request.tree, sizeof(request.tree), "%s", tree);
	kit_start(&kit, run, &request, NULL);
	assert_int_equal(write(run->channel, archive, strlen(archive)), strlen(archive));
	kit_await_end(run);
	return run->exit.status;
}

static void
on_removed(int code, void *arg)
{
	*(int *)arg = code;
}

static void
an_unpacked_tree_is_there_is_read_only_and_can_be_removed(void **state)
{
	OWN(mem) char *path = mem_printf("%s/trees/%064d/data", kit.folder, 5);
	OWN(buf) struct buf bytes = BUF_INIT;
	char tree[ID_SHA256_SIZE];
	struct kit_run run;
	int code = 1;

	thread_on_loop();
	snprintf(tree, sizeof(tree), "%064d", 5);
	assert_false(spawner_has_tree(kit.spawner, tree));
	assert_int_equal(unpack("archive", tree, &run), 0);
	assert_string_equal(run.out.at, "bytes=1000\nentries=50000\nwrite_out=done\n");
	assert_true(spawner_has_tree(kit.spawner, tree));
	assert_int_equal(path_read(path, 100, &bytes, NULL), 0);
	assert_string_equal(bytes.at, "archive");
	kit_run_done(&run);

	/* once more: what is there stays */
	assert_int_equal(unpack("other", tree, &run), 0);
	buf_clear(&bytes);
	assert_int_equal(path_read(path, 100, &bytes, NULL), 0);
	assert_string_equal(bytes.at, "archive");
	kit_run_done(&run);

	spawner_remove_tree(kit.spawner, tree, on_removed, &code);
	while (code == 1)
		kit_turn(&kit, 100);
	assert_int_equal(code, 0);
	assert_false(spawner_has_tree(kit.spawner, tree));
}

static void
a_tree_whose_unpacking_failed_is_not_there(void **state)
{
	char tree[ID_SHA256_SIZE];
	struct kit_run run;

	snprintf(tree, sizeof(tree), "%064d", 6);
	assert_int_equal(unpack("fail", tree, &run), 1);
	assert_int_equal(run.exit.failure.code, 0);
	assert_false(spawner_has_tree(kit.spawner, tree));
	kit_run_done(&run);
}

static void
removing_a_tree_that_is_not_there_succeeds(void **state)
{
	char tree[ID_SHA256_SIZE];
	int code = 1;

	thread_on_loop();
	snprintf(tree, sizeof(tree), "%064d", 7);
	spawner_remove_tree(kit.spawner, tree, on_removed, &code);
	while (code == 1)
		kit_turn(&kit, 100);
	assert_int_equal(code, 0);
}

/* What is left behind. */

static struct kit_census
settled(void)
{
	struct kit_census now = kit_count(&kit), last;

	/* Spares are made when there is nothing else to do: on a busy machine with pauses. */
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
five_hundred_sandboxes_leave_nothing_behind(void **state)
{
	static struct kit_run runs[10];
	struct kit_census before = settled(), after;

	for (int round = 0; round < 50; round++) {
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
	after = settled();
	assert_int_equal(after.processes, before.processes);
	assert_int_equal(after.groups, before.groups);
	assert_int_equal(after.fds, before.fds);
	assert_int_equal(after.mounts, before.mounts);
}

static struct kit_census
await_nothing(const struct kit *gone)
{
	struct kit_census census;

	for (int i = 0; i < 200; i++) {
		census = kit_count(gone);
		if (census.processes == 0 && census.groups == 0)
			break;
		poll(NULL, 0, 50);
	}
	return census;
}

/* The daemon: opens a spawner, starts sandboxes, tells about it, and waits to be killed. */
_Noreturn static void
be_daemon(int tell)
{
	static struct kit mine;
	static struct kit_run runs[3];

	kit_open(&mine, 8);
	for (size_t i = 0; i < 3; i++) {
		kit_start_probe(&mine, &runs[i], (const char *const[]){"ignore", NULL});
		kit_await_start(&runs[i]);
	}
	if (write(tell, &mine, sizeof(mine)) != sizeof(mine))
		_exit(1);
	for (;;)
		pause();
}

static void
a_daemon_that_is_killed_leaves_nothing_behind(void **state)
{
	struct kit theirs;
	struct kit_census census;
	int pair[2];
	pid_t pid;

	assert_int_equal(pipe(pair), 0);
	pid = fork();
	if (pid == 0)
		be_daemon(pair[1]);
	assert_int_equal(read(pair[0], &theirs, sizeof(theirs)), sizeof(theirs));
	census = kit_count(&theirs);
	assert_true(census.processes >= 6);
	assert_true(census.groups >= 4);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	census = await_nothing(&theirs);
	assert_int_equal(census.processes, 0);
	assert_int_equal(census.groups, 0);
	assert_int_equal(census.fds, 0); /* the spawner ended too */
	close(pair[0]);
	close(pair[1]);
}

static void
a_spawner_that_is_killed_takes_its_sandboxes_and_the_next_sweeps(void **state)
{
	static struct kit_run runs[3];
	struct kit mine, next;
	struct kit_census census;

	kit_open(&mine, 8);
	for (size_t i = 0; i < 3; i++) {
		kit_start_probe(&mine, &runs[i], (const char *const[]){"ignore", NULL});
		kit_await_start(&runs[i]);
	}
	kill(mine.spawner_pid, SIGKILL);
	for (size_t i = 0; i < 3; i++) {
		kit_await_end(&runs[i]);
		assert_true(runs[i].is_gone);
		assert_int_equal(runs[i].exit.failure.code, ERR_UNAVAILABLE);
		kit_run_done(&runs[i]);
	}
	kit_turn(&mine, 10);
	assert_true(mine.is_lost);
	for (int i = 0; i < 200 && kit_count(&mine).processes; i++)
		poll(NULL, 0, 50);
	assert_int_equal(kit_count(&mine).processes, 0);
	spawner_free(mine.spawner);
	mine.spawner = NULL;
	kit_open(&next, 8);
	census = kit_count(&mine);
	assert_int_equal(census.groups, 0);
	kit_close(&next);
	kit_close(&mine);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		it(a_start_in_order_is_taken),
		it(a_request_of_another_size_or_magic_is_refused),
		it(a_wrong_number_of_descriptors_is_refused),
		it(a_tree_that_is_no_digest_is_refused),
		it(indexes_out_of_range_are_refused),
		it(limits_beyond_sense_are_refused),
		it(a_sandbox_starts_and_its_exit_status_comes_back),
		it(a_signal_that_ends_the_main_program_comes_back),
		it(a_program_that_is_not_there_is_named),
		it(a_tree_that_is_not_there_is_named),
		it(a_step_that_fails_says_which_and_why),
		it(a_sandbox_that_is_stopped_ends_whatever_it_ignores),
		it(a_sandbox_whose_channel_ends_before_init_ends),
		it(cpu_time_is_metered_while_it_runs_and_at_its_end),
		it(more_sandboxes_than_there_are_is_an_error_at_once),
		it(an_unpacked_tree_is_there_is_read_only_and_can_be_removed),
		it(a_tree_whose_unpacking_failed_is_not_there),
		it(removing_a_tree_that_is_not_there_succeeds),
		it(five_hundred_sandboxes_leave_nothing_behind),
		it(a_daemon_that_is_killed_leaves_nothing_behind),
		it(a_spawner_that_is_killed_takes_its_sandboxes_and_the_next_sweeps),
	};

	return cmocka_run_group_tests(tests, open_group, close_group);
}
