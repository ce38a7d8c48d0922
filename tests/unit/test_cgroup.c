/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance test of cgroup_ops. The same program runs here, on whatever the machine has, and
 * in a virtual machine with cgroup v2 (tests/scenario/test_cgroup_v2_vm.py).
 * $MAYFLY_CGROUP names the kind that must be found: "v1" or "v2".
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "sandbox/cgroup.h"

#define MIB (1ull << 20)

static struct cgroup_parent cgroups;
static const struct sandbox_limits limits = {
	.memory_bytes = 48 * MIB, .cpu_weight = 50, .processes = 8, .open_files = 64};

static int
open_group(void **state)
{
	struct err err = {0};

	if (cgroup_open(&cgroups, "mayfly-test", &err) == 0)
		return 0;
	fprintf(stderr, "cgroup_open: %s\n", err.text);
	return -1;
}

static int
close_group(void **state)
{
	cgroup_close(&cgroups);
	return 0;
}

/* A child in the group of a seat, by the way that the kind offers. */
static pid_t
enter(unsigned seat, int (*run)(void))
{
	OWN(cgroup_place) struct cgroup_place place;
	struct clone_args how = {.exit_signal = SIGCHLD};
	struct err err = {0};
	pid_t pid;

	assert_int_equal(cgroups.ops->place(&cgroups, seat, &place, &err), 0);
	if (place.into >= 0) {
		how.flags = CLONE_INTO_CGROUP;
		how.cgroup = (uint64_t)place.into;
	}
	pid = (pid_t)syscall(SYS_clone3, &how, sizeof(how));
	if (pid == 0)
		_exit(cgroup_join(&place, &err) < 0 ? 90 : run());
	assert_true(pid > 0);
	return pid;
}

static int
end_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void
make(unsigned seat, const struct sandbox_limits *held)
{
	struct err err = {0};

	if (cgroups.ops->create(&cgroups, seat, &err) < 0 ||
		cgroups.ops->set(&cgroups, seat, held, &err) < 0)
		fail_msg("%s", err.text);
}

static struct sandbox_usage
usage_of(unsigned seat)
{
	struct sandbox_usage usage;
	int files[CGROUP_FILES];

	cgroups.ops->files(&cgroups, seat, files);
	cgroup_usage(cgroups.ops->kind, files, &usage);
	for (size_t i = 0; i < CGROUP_FILES; i++)
		own_fd(&files[i]);
	return usage;
}

static void
unmake(unsigned seat)
{
	struct err err = {0};
	int rc;

	while ((rc = cgroups.ops->remove(&cgroups, seat, &err)) == ERR_CONFLICT)
		poll(NULL, 0, 5);
	assert_int_equal(rc, 0);
}

static int
do_nothing(void)
{
	return 7;
}

static int
wait_for_ever(void)
{
	while (pause() < 0)
		;
	return 0;
}

static int
eat(size_t bytes)
{
	char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t i = 0; i < bytes; i += 4096)
		((volatile char *)at)[i] = 1;
	return 0;
}

static int
eat_much(void)
{
	return eat(200 * MIB);
}

static int
eat_little(void)
{
	return eat(16 * MIB);
}

static int
burn_a_while(void)
{
	uint64_t end = clock_mono_us() + 600000;

	while (clock_mono_us() < end)
		;
	return 0;
}

static int
fork_many(void)
{
	for (int n = 0; n < 100; n++) {
		pid_t pid = fork();

		if (pid < 0)
			return errno == EAGAIN ? n : 99;
		if (pid == 0)
			wait_for_ever();
	}
	return 100;
}

/* The tests. */

static void
the_expected_kind_is_found_and_holds_everything(void **state)
{
	const char *expected = getenv("MAYFLY_CGROUP");

	if (expected)
		assert_string_equal(cgroups.ops->name, expected);
	assert_string_equal(cgroups.missing, "");
	assert_int_equal(cgroups.enforced, CGROUP_HOLDS_ALL);
}

static void
a_group_is_made_entered_and_removed(void **state)
{
	struct err err = {0};

	make(1, &limits);
	assert_int_equal(end_of(enter(1, do_nothing)), 7);
	unmake(1);
	assert_int_equal(cgroups.ops->remove(&cgroups, 1, &err), 0); /* absent is fine */
}

static void
a_group_with_a_process_is_not_removed_until_it_was_killed(void **state)
{
	struct err err = {0};
	pid_t pids[3];

	make(1, &limits);
	for (int i = 0; i < 3; i++)
		pids[i] = enter(1, wait_for_ever);
	/* v1: a process joins by itself, so wait until the last has */
	poll(NULL, 0, 200);
	assert_int_equal(cgroups.ops->remove(&cgroups, 1, &err), ERR_CONFLICT);
	cgroups.ops->kill(&cgroups, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(end_of(pids[i]), -SIGKILL);
	unmake(1);
}

static void
memory_beyond_the_limit_kills_that_group_alone(void **state)
{
	pid_t neighbour, eater;
	struct sandbox_usage usage;
	int oom;

	make(1, &limits);
	make(2, &limits);
	oom = cgroups.ops->watch_oom(&cgroups, 1);
	assert_int_equal(oom >= 0, cgroups.ops->kind == CGROUP_V1);
	neighbour = enter(2, wait_for_ever);
	eater = enter(1, eat_much);
	assert_int_equal(end_of(eater), -SIGKILL);
	if (oom >= 0)
		assert_int_equal(poll(&(struct pollfd){oom, POLLIN, 0}, 1, 5000), 1);
	assert_int_equal(waitpid(neighbour, NULL, WNOHANG), 0);
	usage = usage_of(1);
	assert_true(usage.n_oom_kills >= 1);
	assert_in_range(usage.memory_peak_bytes, 40 * MIB, 48 * MIB);
	assert_int_equal(usage_of(2).n_oom_kills, 0);
	cgroups.ops->kill(&cgroups, 2);
	end_of(neighbour);
	own_fd(&oom);
	unmake(1);
	unmake(2);
}

static void
a_group_out_of_memory_goes_as_a_whole_or_says_so(void **state)
{
	pid_t bystander, eater;
	int oom;

	make(1, &limits);
	oom = cgroups.ops->watch_oom(&cgroups, 1);
	bystander = enter(1, wait_for_ever);
	poll(NULL, 0, 100);
	eater = enter(1, eat_much);
	assert_int_equal(end_of(eater), -SIGKILL);
	if (oom >= 0) { /* then the rest is the watcher's to kill */
		assert_int_equal(poll(&(struct pollfd){oom, POLLIN, 0}, 1, 5000), 1);
		cgroups.ops->kill(&cgroups, 1);
	}
	assert_int_equal(end_of(bystander), -SIGKILL);
	own_fd(&oom);
	unmake(1);
}

static void
processes_beyond_the_limit_are_refused_and_counted(void **state)
{
	pid_t pid;

	make(1, &limits);
	pid = enter(1, fork_many);
	assert_int_equal(end_of(pid), 7); /* 8 with itself */
	assert_true(usage_of(1).n_fork_refused >= 1);
	cgroups.ops->kill(&cgroups, 1);
	unmake(1);
}

static void
cpu_time_is_metered(void **state)
{
	struct sandbox_usage usage;

	make(1, &limits);
	assert_int_equal(end_of(enter(1, burn_a_while)), 0);
	usage = usage_of(1);
	assert_in_range(usage.cpu_us, 50000, 700000);
	unmake(1);
}

static void
cpu_time_is_held_to_the_ceiling(void **state)
{
	struct sandbox_limits slow = limits;

	slow.cpu_percent = 20;
	make(1, &slow);
	assert_int_equal(end_of(enter(1, burn_a_while)), 0);
	/* a fifth of 600 ms, and what one period of 100 ms may save up or overrun */
	assert_in_range(usage_of(1).cpu_us, 20000, 300000);
	unmake(1);
}

static void
the_peak_is_reset_or_says_that_it_cannot(void **state)
{
	int files[CGROUP_FILES];
	struct sandbox_usage before, after;
	bool can;

	make(1, &limits);
	assert_int_equal(end_of(enter(1, eat_little)), 0);
	cgroups.ops->files(&cgroups, 1, files);
	cgroup_usage(cgroups.ops->kind, files, &before);
	assert_true(before.memory_peak_bytes >= 16 * MIB);
	can = cgroup_reset_peak(cgroups.ops->kind, files);
	cgroup_usage(cgroups.ops->kind, files, &after);
	if (can)
		assert_true(after.memory_peak_bytes < 16 * MIB);
	else
		assert_int_equal(after.memory_peak_bytes, before.memory_peak_bytes);
	assert_true(can || cgroups.ops->kind == CGROUP_V2); /* memory.peak before Linux 6.12 */
	for (size_t i = 0; i < CGROUP_FILES; i++)
		own_fd(&files[i]);
	unmake(1);
}

/* A spawner that dies with a group that is not empty. */
_Noreturn static void
be_spawner(int tell)
{
	struct err err = {0};

	if (cgroup_open(&cgroups, "mayfly-test", &err) < 0)
		_exit(1);
	make(3, &limits);
	enter(3, wait_for_ever);
	poll(NULL, 0, 200);
	if (write(tell, cgroups.name, sizeof(cgroups.name)) < 0)
		_exit(1);
	wait_for_ever();
	_exit(0);
}

static void
what_a_dead_spawner_left_is_swept_and_of_a_living_one_kept(void **state)
{
	struct cgroup_parent next;
	char name[CGROUP_NAME_SIZE];
	struct err err = {0};
	int pair[2];
	pid_t pid;

	assert_int_equal(pipe(pair), 0);
	pid = fork();
	if (pid == 0)
		be_spawner(pair[1]);
	assert_int_equal(read(pair[0], name, sizeof(name)), sizeof(name));
	assert_int_equal(cgroup_open(&next, "mayfly-test", &err), 0);
	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++) {
		if (next.base[i] >= 0)
			assert_int_equal(faccessat(next.base[i], name, F_OK, 0), 0);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	cgroup_close(&next);
	assert_int_equal(cgroup_open(&next, "mayfly-test", &err), 0);
	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++) {
		if (next.base[i] >= 0)
			assert_int_equal(faccessat(next.base[i], name, F_OK, 0), -1);
	}
	cgroup_close(&next);
	close(pair[0]);
	close(pair[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		it(the_expected_kind_is_found_and_holds_everything),
		it(a_group_is_made_entered_and_removed),
		it(a_group_with_a_process_is_not_removed_until_it_was_killed),
		it(memory_beyond_the_limit_kills_that_group_alone),
		it(a_group_out_of_memory_goes_as_a_whole_or_says_so),
		it(processes_beyond_the_limit_are_refused_and_counted),
		it(cpu_time_is_metered),
		it(cpu_time_is_held_to_the_ceiling),
		it(the_peak_is_reset_or_says_that_it_cannot),
		it(what_a_dead_spawner_left_is_swept_and_of_a_living_one_kept),
	};

	return cmocka_run_group_tests(tests, open_group, close_group);
}
