/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program in a sandbox sees, may do and can use up: docs/sandbox.md, proved from inside.
 */
#include "unit.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "sandbox/landlock.h"
#include "sandbox_kit.h"

static struct kit kit;
static struct kit_run look; /* what a program sees that looks around */

static int
open_group(void **state)
{
	kit_open(&kit, 16);
	kit_run_probe(&kit, &look, (const char *const[]){"look", NULL});
	return look.exit.status;
}

static int
close_group(void **state)
{
	kit_run_done(&look);
	kit_close(&kit);
	return 0;
}

/* The value of the line "<key><separator><value>", on the heap; fails when there is none. */
static char *
value_of(const struct kit_run *run, const char *key, const char *separator)
{
	OWN(mem) char *mark = mem_printf("\n%s%s", key, separator);
	OWN(mem) char *text = mem_printf("\n%s", run->out.at);
	const char *at = strstr(text, mark);

	if (!at)
		fail_msg("no %s in: %s", key, run->out.at);
	at += strlen(mark);
	return str_dup(str_n(at, strcspn(at, "\n")));
}

static void
assert_says(const struct kit_run *run, const char *key, const char *expected)
{
	OWN(mem) char *value = value_of(run, key, "=");

	if (strcmp(value, expected) != 0)
		fail_msg("%s is %s, not %s", key, value, expected);
}

static void
assert_status(const char *key, const char *expected)
{
	OWN(mem) char *value = value_of(&look, key, ":\t");

	if (strcmp(value, expected) != 0)
		fail_msg("%s is %s, not %s", key, value, expected);
}

/* What it sees. */

static void
seven_namespaces_are_its_own(void **state)
{
	static const char *const spaces[] = {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"};
	char path[64], host[64];

	for (size_t i = 0; i < 7; i++) {
		OWN(mem) char *inside = value_of(&look, spaces[i], "=");
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/ns/%s", spaces[i]);
		n = readlink(path, host, sizeof(host) - 1);
		assert_true(n > 0);
		host[n] = '\0';
		assert_true(strlen(inside) > 8);
		assert_string_not_equal(inside, host);
	}
}

static void
it_is_an_ordinary_user_without_groups(void **state)
{
	assert_says(&look, "uid", "1000");
	assert_says(&look, "euid", "1000");
	assert_says(&look, "gid", "1000");
	if (geteuid() == 0)
		assert_says(&look, "groups", "0");
}

static void
all_five_capability_sets_are_empty(void **state)
{
	static const char *const sets[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};

	for (size_t i = 0; i < 5; i++)
		assert_status(sets[i], "0000000000000000");
}

static void
privileges_cannot_come_back_and_calls_are_filtered(void **state)
{
	assert_status("NoNewPrivs", "1");
	assert_status("Seccomp", "2");
	assert_status("TracerPid", "0");
}

static void
the_root_holds_what_was_put_there_and_nothing_else(void **state)
{
	static const char *const expected[] = {
		"bin", "build", "code", "deps", "dev", "out", "proc", "runtime", "source", "tmp"};
	OWN(mem) char *listed = value_of(&look, "ls /", "=");
	size_t n = 0;

	for (const char *at = listed; *at; at++)
		n += *at == ' ';
	assert_int_equal(n, 10);
	for (size_t i = 0; i < 10; i++)
		assert_non_null(strstr(listed, expected[i]));
}

static void
mounts_are_few_and_sealed(void **state)
{
	const char *mounts = strstr(look.out.at, "[/proc/self/mountinfo]\n") + 23;
	const char *end = strstr(mounts, "\n\n");
	unsigned n = 0;

	for (const char *line = mounts; line && line < end; line = strchr(line, '\n') + 1, n++) {
		char root[512], at[128], options[256];

		assert_int_equal(
			sscanf(line, "%*d %*d %*s %511s %127s %255s", root, at, options), 3);
		assert_non_null(strstr(options, "nosuid"));
		if (strncmp(at, "/dev", 4) != 0)
			assert_non_null(strstr(options, "nodev"));
		else
			assert_non_null(strstr(options, "noexec"));
		if (strcmp(at, "/") == 0 || strcmp(at, "/code") == 0 || strcmp(at, "/dev") == 0)
			assert_int_equal(strncmp(options, "ro,", 3), 0);
	}
	assert_int_equal(n, 10); /* root, dev, five devices, code, tmp, proc */
}

static void
devices_are_the_harmless_ones(void **state)
{
	OWN(mem) char *listed = value_of(&look, "ls /dev", "=");
	size_t n = 0;

	for (const char *at = listed; *at; at++)
		n += *at == ' ';
	assert_int_equal(n, 10);
	assert_null(strstr(listed, "tty"));
	assert_null(strstr(listed, "mem"));
	assert_non_null(strstr(listed, "urandom"));
}

static void
it_sees_no_process_but_its_own(void **state)
{
	assert_says(&look, "ls /proc", "self thread-self 2 ");
	assert_says(&look, "self", "2");
	assert_says(&look, "sid", kit_has_template() ? "2" : "1"); /* a fork has its own */
}

static void
it_holds_no_descriptor_but_those_given(void **state)
{
	assert_says(&look, "ls /proc/self/fd", "0 1 2 3 4 "); /* 4 is the folder being listed */
}

static void
it_sees_the_top_of_its_own_cgroup(void **state)
{
	const char *groups = strstr(look.out.at, "[/proc/self/cgroup]\n");

	assert_non_null(strstr(groups, "memory:/\n") ?: strstr(groups, "0::/\n"));
	assert_null(strstr(groups, "mayfly"));
}

static void
its_surroundings_are_as_documented(void **state)
{
	assert_says(&look, "host", "mayfly");
	assert_says(&look, "umask", "022");
	assert_says(&look, "cwd", "/code");
	assert_says(&look, "ls /code", "code.txt ");
	assert_non_null(strstr(look.out.at, "[/proc/self/oom_score_adj]\n1000\n"));
	assert_non_null(strstr(look.out.at,
		"env PATH=/usr/local/bin:/usr/bin:/bin\nenv HOME=/tmp\nenv TMPDIR=/tmp\n"
		"env LANG=C.UTF-8\nenv TZ=UTC\nenv GREETING=hello\n"));
	assert_null(strstr(look.out.at, "MAYFLY_COMMAND"));
}

static void
resource_limits_are_set(void **state)
{
	assert_says(&look, "nofile", "64");
	assert_says(&look, "fsize", "1073741824");
	assert_says(&look, "core", "0");
	assert_says(&look, "memlock", "65536");
}

static void
dependencies_are_at_deps_or_in_place_of_node_modules(void **state)
{
	struct sandbox_request request = {
		.kind = SANDBOX_INSTANCE, .limits = kit_limits, .output = -1};
	struct kit_run run;

	snprintf(request.tree, sizeof(request.tree), "%s", kit_tree);
	snprintf(request.deps, sizeof(request.deps), "%s", kit_deps);
	kit_start(&kit, &run, &request, (const char *const[]){"look", NULL});
	kit_await_end(&run);
	assert_says(&run, "ls /deps", "deps.txt ");
	kit_run_done(&run);
	snprintf(request.tree, sizeof(request.tree), "%s", kit_tree_with_modules);
	kit_start(&kit, &run, &request, (const char *const[]){"look", NULL});
	kit_await_end(&run);
	assert_says(&run, "ls /code/node_modules", "deps.txt ");
	assert_says(&run, "ls /deps", "");
	kit_run_done(&run);
}

/* What it may do. */

static void
ways_out_are_shut(void **state)
{
	static const char *const refused[][2] = {
		{"setuid_0", "EINVAL"}, /* there is no user 0 */
		{"setgid_0", "EINVAL"},
		{"setgroups", "EPERM"},
		{"write_root", "EROFS"},
		{"write_code", "EROFS"},
		{"write_dev", "EROFS"},
		{"write_null", "done"},
		{"write_tmp", "done"},
		{"shadow", "ENOENT"},
		{"sys", "ENOENT"},
		{"proc_sys", "ENOENT"},
		{"kcore", "ENOENT"},
		{"proc_keys", "ENOENT"},
		{"init_root", "ENOENT"},
		{"init_mem", "ENOENT"},
		{"init_exe", "ENOENT"},
		{"init_fd", "ENOENT"},
		{"raise_nofile", "EPERM"},
		{"udp_outside", "ENETUNREACH"},
		{"tcp_outside", "ENETUNREACH"},
		{"bind_local", "done"},
		{"interfaces", "lo "},
	};
	struct kit_run run;

	kit_run_probe(&kit, &run, (const char *const[]){"escape", NULL});
	/* it went on after kill(1, SIGKILL), which pid 1 of a namespace does not hear */
	assert_int_equal(run.exit.status, 0);
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
		assert_says(&run, refused[i][0], refused[i][1]);
	assert_says(&run, "make_node", landlock_abi() ? "EACCES" : "EPERM");
	assert_says(&run, "oom_score", "EROFS");
	kit_run_done(&run);
}

static void
forbidden_calls_are_refused_with_the_documented_errno(void **state)
{
	static const char *const eperm[] = {"ptrace", "process_vm_readv", "process_vm_writev",
		"mount", "umount2", "pivot_root", "chroot", "fsopen", "open_tree", "move_mount",
		"mount_setattr", "unshare", "setns", "clone_newuser", "keyctl", "add_key", "bpf",
		"perf_event_open", "kexec_load", "init_module", "finit_module", "open_by_handle_at",
		"shmget", "mq_open", "personality", "tiocsti", "tiocsti_high", "sethostname",
		"reboot", "syslog"};
	static const char *const enosys[] = {
		"clone3", "io_uring_setup", "userfaultfd", "unknown_call"};
	static const char *const family[] = {
		"socket_netlink", "socket_packet", "socket_alg", "socket_vsock"};
	struct kit_run run;

	kit_run_probe(&kit, &run, (const char *const[]){"calls", NULL});
	assert_int_equal(run.exit.status, 0);
	for (size_t i = 0; i < sizeof(eperm) / sizeof(*eperm); i++)
		assert_says(&run, eperm[i], "EPERM");
	for (size_t i = 0; i < sizeof(enosys) / sizeof(*enosys); i++)
		assert_says(&run, enosys[i], "ENOSYS");
	for (size_t i = 0; i < sizeof(family) / sizeof(*family); i++)
		assert_says(&run, family[i], "EAFNOSUPPORT");
	assert_says(&run, "socket_unix", "done");
	assert_says(&run, "personality_query", "done");
	kit_run_done(&run);
}

/* Without root there is no cgroup to hold memory and CPU time. */
static void
need_cgroups(void)
{
	if (geteuid() != 0)
		skip();
}

/* What it can use up. A neighbour waits beside each offender and must live on. */

static void
offend(const char *how, struct kit_run *offender)
{
	struct kit_run neighbour;
	char text[8];

	kit_start_probe(&kit, &neighbour, (const char *const[]){"ignore", NULL});
	kit_await_start(&neighbour);
	assert_int_equal(read(neighbour.pipe, text, sizeof(text)), 6);
	kit_run_probe(&kit, offender, (const char *const[]){how, NULL});
	assert_true(offender->is_gone);
	kit_turn(&kit, 10);
	assert_false(neighbour.is_gone);
	kit_stop(&neighbour);
	kit_await_end(&neighbour);
	assert_int_equal(neighbour.exit.usage.n_oom_kills, 0);
	kit_run_done(&neighbour);
}

static void
a_fork_bomb_meets_its_limit_and_goes_with_its_sandbox(void **state)
{
	struct kit_run run;

	offend("fork_bomb", &run);
	assert_says(&run, "fork", "EAGAIN");
	assert_says(&run, "children", "14"); /* 16 with itself and pid 1 */
	if (geteuid() == 0)
		assert_true(run.exit.usage.n_fork_refused >= 1);
	assert_int_equal(run.exit.status, 0);
	kit_run_done(&run);
}

static void
a_memory_hog_is_killed_and_the_reason_is_known(void **state)
{
	struct kit_run run;

	need_cgroups();
	offend("memory", &run);
	assert_int_equal(run.exit.status, -SIGKILL);
	assert_true(run.exit.usage.n_oom_kills >= 1);
	assert_in_range(run.exit.usage.memory_peak_bytes, 60 << 20, 64 << 20);
	assert_false(run.exit.was_asked);
	kit_run_done(&run);
}

static void
a_child_that_eats_the_memory_takes_the_whole_sandbox(void **state)
{
	struct kit_run run;

	need_cgroups();
	offend("memory_in_child", &run);
	assert_int_equal(run.exit.status, -SIGKILL);
	assert_true(run.exit.usage.n_oom_kills >= 1);
	assert_true(run.gone_us - run.asked_us < 20000000); /* not when the parent had slept */
	kit_run_done(&run);
}

static void
a_disk_filler_meets_the_size_of_tmp(void **state)
{
	struct kit_run run;

	offend("disk", &run);
	assert_says(&run, "bytes", "4194304");
	assert_says(&run, "write", "ENOSPC");
	assert_says(&run, "files", "1023");
	assert_says(&run, "create", "ENOSPC");
	assert_int_equal(run.exit.status, 0);
	kit_run_done(&run);
}

static void
too_many_open_files_are_refused(void **state)
{
	struct kit_run run;

	offend("open_many", &run);
	assert_says(&run, "opened", "60");
	assert_says(&run, "open", "EMFILE");
	kit_run_done(&run);
}

static void
what_is_left_in_tmp_is_gone_with_the_sandbox(void **state)
{
	struct kit_run run;

	for (int i = 0; i < 2; i++) {
		kit_run_probe(&kit, &run, (const char *const[]){"escape", NULL});
		assert_says(&run, "write_tmp", "done"); /* O_EXCL: it was not there */
		kit_run_done(&run);
	}
}

static void
cpu_time_is_held_to_the_ceiling(void **state)
{
	struct sandbox_request request = {
		.kind = SANDBOX_INSTANCE, .limits = kit_limits, .output = -1};
	struct kit_run run;

	need_cgroups();
	request.limits.cpu_percent = 20;
	snprintf(request.tree, sizeof(request.tree), "%s", kit_tree);
	kit_start(&kit, &run, &request, (const char *const[]){"burn", NULL});
	kit_await_end(&run);
	/* 200 ms of CPU time at a fifth of a core, less what one period may save up */
	assert_true(run.gone_us - run.asked_us > 500000);
	kit_run_done(&run);
}

/* A build. */

static void
a_build_reaches_its_proxy_and_writes_its_result(void **state)
{
	struct sandbox_request request = {.kind = SANDBOX_BUILD, .limits = kit_limits};
	char text[16] = "";
	struct kit_run run;
	int output[2], proxy;

	assert_int_equal(pipe(output), 0);
	request.output = output[1];
	snprintf(request.tree, sizeof(request.tree), "%s", kit_tree);
	kit_start(&kit, &run, &request, (const char *const[]){"proxy", NULL});
	kit_await_start(&run);
	assert_true(run.listener >= 0);
	assert_int_equal(poll(&(struct pollfd){run.listener, POLLIN, 0}, 1, 30000), 1);
	proxy = accept(run.listener, NULL, NULL);
	assert_true(proxy >= 0);
	assert_int_equal(write(proxy, "registry", 8), 8);
	close(proxy);
	kit_await_end(&run);
	assert_int_equal(run.exit.status, 0);
	assert_says(&run, "proxy", "registry");
	assert_says(&run, "write_build", "done");
	assert_says(&run, "write_source", "EROFS");
	assert_int_equal(read(output[0], text, sizeof(text)), 6);
	assert_string_equal(text, "packed");
	kit_run_done(&run);
	close(output[0]);
	close(output[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		it(seven_namespaces_are_its_own),
		it(it_is_an_ordinary_user_without_groups),
		it(all_five_capability_sets_are_empty),
		it(privileges_cannot_come_back_and_calls_are_filtered),
		it(the_root_holds_what_was_put_there_and_nothing_else),
		it(mounts_are_few_and_sealed),
		it(devices_are_the_harmless_ones),
		it(it_sees_no_process_but_its_own),
		it(it_holds_no_descriptor_but_those_given),
		it(it_sees_the_top_of_its_own_cgroup),
		it(its_surroundings_are_as_documented),
		it(resource_limits_are_set),
		it(dependencies_are_at_deps_or_in_place_of_node_modules),
		it(ways_out_are_shut),
		it(forbidden_calls_are_refused_with_the_documented_errno),
		it(a_fork_bomb_meets_its_limit_and_goes_with_its_sandbox),
		it(a_memory_hog_is_killed_and_the_reason_is_known),
		it(a_child_that_eats_the_memory_takes_the_whole_sandbox),
		it(a_disk_filler_meets_the_size_of_tmp),
		it(too_many_open_files_are_refused),
		it(what_is_left_in_tmp_is_gone_with_the_sandbox),
		it(cpu_time_is_held_to_the_ceiling),
		it(a_build_reaches_its_proxy_and_writes_its_result),
	};

	return cmocka_run_group_tests(tests, open_group, close_group);
}
