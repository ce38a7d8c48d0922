/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/enclose.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own.h"
#include "sandbox/inside.h"
#include "sandbox/landlock.h"
#include "sandbox/spawner_protocol.h"
#include "sandbox/unpack.h"

#define MIB (1024ull * 1024)

/* Descriptors that come with a plan get numbers from here on. */
#define ENCLOSE_FIRST_FD (INSIDE_INIT + 1)

struct enclose_state {
	const struct enclosure *with;
	struct inside_plan plan;
	int fds[INSIDE_FDS]; /* -1 where there is none */
};

enum {
	ENCLOSE_INSTANCE = 1 << SANDBOX_INSTANCE,
	ENCLOSE_UNPACK = 1 << SANDBOX_UNPACK,
	ENCLOSE_BUILD = 1 << SANDBOX_BUILD,
	ENCLOSE_ALL = ENCLOSE_INSTANCE | ENCLOSE_UNPACK | ENCLOSE_BUILD,
};

struct enclose_step {
	const char *doing;
	int (*run)(struct enclose_state *state, struct err *err);
	unsigned kinds; /* that the step is for */
};

/* The first list: a seat. */

static int
enclose_join_cgroup(struct enclose_state *state, struct err *err)
{
	return cgroup_join(&state->with->place, err);
}

/* Low numbers are held so that what comes with the plan does not get them. */
static int
enclose_keep_two(struct enclose_state *state, struct err *err)
{
	int control = fcntl(state->with->control, F_DUPFD_CLOEXEC, 64);
	int init = fcntl(state->with->init, F_DUPFD_CLOEXEC, 64);

	if (control < 0 || init < 0 || dup2(control, INSIDE_CONTROL) < 0 ||
		dup3(init, INSIDE_INIT, O_CLOEXEC) < 0)
		return err_sys(err, "moving descriptors");
	for (int fd = 0; fd < INSIDE_CONTROL; fd++) {
		if (dup2(control, fd) < 0)
			return err_sys(err, "holding descriptor %d", fd);
	}
	if (close_range(ENCLOSE_FIRST_FD, ~0u, 0) < 0)
		return err_sys(err, "closing the spawner's descriptors");
	return 0;
}

static int
enclose_reset_signals(struct enclose_state *state, struct err *err)
{
	sigset_t none;

	sigemptyset(&none);
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? err_sys(err, "the signal mask") : 0;
}

static int
enclose_await_map(struct enclose_state *state, struct err *err)
{
	char go;

	/* The spawner is gone: nobody is left to tell. */
	if (recv(INSIDE_CONTROL, &go, 1, 0) != 1)
		_exit(1);
	return 0;
}

/* Not at clone(2): the group that it is in by then is what it shall see as the top. */
static int
enclose_own_cgroup_view(struct enclose_state *state, struct err *err)
{
	return unshare(CLONE_NEWCGROUP) < 0 ? err_sys(err, "unshare") : 0;
}

/* When the machine runs out of memory a sandbox goes first. */
static int
enclose_offer_to_oom(struct enclose_state *state, struct err *err)
{
	OWN(fd) int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, "1000", 4) != 4 ? err_sys(err, "oom_score_adj") : 0;
}

static int
enclose_become_user(struct enclose_state *state, struct err *err)
{
	if (setresgid(INSIDE_USER, INSIDE_USER, INSIDE_USER) < 0)
		return err_sys(err, "setresgid");
	/* With a single id the kernel forbids setgroups(2): the user keeps his groups. */
	if (setgroups(0, NULL) < 0 && !(state->with->is_user_shared && errno == EPERM))
		return err_sys(err, "setgroups");
	/* No user 0 is mapped, so this keeps the capabilities for the steps that follow. */
	if (setresuid(INSIDE_USER, INSIDE_USER, INSIDE_USER) < 0)
		return err_sys(err, "setresuid");
	return 0;
}

static int
enclose_die_with_spawner(struct enclose_state *state, struct err *err)
{
	/* A spawner that died before this is found by the next receive: the socket is at its end.
	 */
	return prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? err_sys(err, "prctl") : 0;
}

static int
enclose_drop_bounding(struct enclose_state *state, struct err *err)
{
	for (int capability = 0; capability <= state->with->last_capability; capability++) {
		if (prctl(PR_CAPBSET_DROP, capability) < 0)
			return err_sys(err, "capability %d", capability);
	}
	return 0;
}

static int
enclose_promise_no_privileges(struct enclose_state *state, struct err *err)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? err_sys(err, "prctl") : 0;
}

/* Private to the sandbox: an adapter inside speaks to its runtime over it. */
static int
enclose_raise_loopback(struct enclose_state *state, struct err *err)
{
	OWN(fd) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

	return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? err_sys(err, "lo") : 0;
}

static int
enclose_name_host(struct enclose_state *state, struct err *err)
{
	if (sethostname("mayfly", 6) < 0 || setdomainname("", 0) < 0)
		return err_sys(err, "sethostname");
	return 0;
}

static int
enclose_leave_session(struct enclose_state *state, struct err *err)
{
	umask(022);
	return setsid() < 0 ? err_sys(err, "setsid") : 0;
}

static const struct enclose_step enclose_seat_steps[] = {
	{"joining its cgroup", enclose_join_cgroup, ENCLOSE_ALL},
	{"closing what it inherited", enclose_keep_two, ENCLOSE_ALL},
	{"resetting signals", enclose_reset_signals, ENCLOSE_ALL},
	{"waiting for its user map", enclose_await_map, ENCLOSE_ALL},
	{"making its cgroup namespace", enclose_own_cgroup_view, ENCLOSE_ALL},
	{"offering itself to the OOM killer", enclose_offer_to_oom, ENCLOSE_ALL},
	{"becoming user 1000", enclose_become_user, ENCLOSE_ALL},
	{"binding its life to the spawner's", enclose_die_with_spawner, ENCLOSE_ALL},
	{"emptying the bounding set", enclose_drop_bounding, ENCLOSE_ALL},
	{"promising no new privileges", enclose_promise_no_privileges, ENCLOSE_ALL},
	{"raising the loopback interface", enclose_raise_loopback, ENCLOSE_ALL},
	{"naming its host", enclose_name_host, ENCLOSE_ALL},
	{"leaving the spawner's session", enclose_leave_session, ENCLOSE_ALL},
};

/* The second list: a sandbox. */

static int
enclose_await_plan(struct enclose_state *state, struct err *err)
{
	OWN(spawner_fds) struct spawner_fds fds = {.n = 0};
	ssize_t n = spawner_protocol_receive(
		INSIDE_CONTROL, &state->plan, sizeof(state->plan), &fds, 0);
	size_t next = 0;

	if (n != sizeof(state->plan))
		_exit(1);
	for (size_t i = 0; i < INSIDE_FDS; i++) {
		bool is_there = state->plan.has_fd & (1u << i);

		must(!is_there || next < fds.n);
		state->fds[i] = is_there ? take_fd(&fds.at[next++]) : -1;
	}
	return 0;
}

static int
enclose_attach(struct enclose_state *state, enum inside_fd which, const char *at, struct err *err)
{
	if (state->fds[which] < 0)
		return 0;
	if (move_mount(state->fds[which], "", AT_FDCWD, at, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(err, "at /%s", at);
	return 0;
}

static int
enclose_mount_root(struct enclose_state *state, struct err *err)
{
	int rc = enclose_attach(state, INSIDE_FD_ROOT, "root", err);

	return rc == 0 && chdir("/root") < 0 ? err_sys(err, "chdir") : rc;
}

static int
enclose_mount_code(struct enclose_state *state, struct err *err)
{
	return enclose_attach(
		state, INSIDE_FD_CODE, state->plan.kind == SANDBOX_BUILD ? "source" : "code", err);
}

static int
enclose_mount_deps(struct enclose_state *state, struct err *err)
{
	return enclose_attach(state, INSIDE_FD_DEPS,
		state->plan.deps_are_node_modules ? "code/node_modules" : "deps", err);
}

static int
enclose_mount_out(struct enclose_state *state, struct err *err)
{
	return enclose_attach(state, INSIDE_FD_OUT, "out", err);
}

static int
enclose_mount_tmpfs(struct enclose_state *state, const char *at, struct err *err)
{
	uint64_t bytes = state->plan.limits.tmp_bytes;
	uint64_t inodes = bytes / 4096;
	char options[128];

	if (inodes < 1024)
		inodes = 1024;
	if (inodes > 262144)
		inodes = 262144;
	snprintf(options, sizeof(options), "size=%llu,nr_inodes=%llu,mode=1777,uid=%d,gid=%d",
		(unsigned long long)bytes, (unsigned long long)inodes, INSIDE_USER, INSIDE_USER);
	if (mount("tmpfs", at, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0)
		return err_sys(err, "mount");
	return 0;
}

static int
enclose_mount_tmp(struct enclose_state *state, struct err *err)
{
	return enclose_mount_tmpfs(state, "tmp", err);
}

static int
enclose_mount_build(struct enclose_state *state, struct err *err)
{
	return enclose_mount_tmpfs(state, "build", err);
}

/* Processes only: nothing of /proc/sys, /proc/kcore … is in it; and of those only one's own.
 * Kernels that do not know an option get the next line. */
static int
enclose_mount_proc(struct enclose_state *state, struct err *err)
{
	static const char *const options[] = {"subset=pid,hidepid=2", "hidepid=2"};

	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
		if (mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, options[i]) ==
			0)
			return 0;
	}
	return err_sys(err, "mount");
}

static int
enclose_mount_dev(struct enclose_state *state, struct err *err)
{
	return enclose_attach(state, INSIDE_FD_DEV, "dev", err);
}

static int
enclose_move_in(struct enclose_state *state, struct err *err)
{
	static const char *const start[] = {[SANDBOX_INSTANCE] = "/code",
		[SANDBOX_UNPACK] = "/out",
		[SANDBOX_BUILD] = "/build"};

	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return err_sys(err, "pivot_root");
	if (umount2(".", MNT_DETACH) < 0)
		return err_sys(err, "umount");
	if (chdir(start[state->plan.kind]) < 0)
		return err_sys(err, "chdir %s", start[state->plan.kind]);
	return 0;
}

/* Where the daemon's proxy will accept: made here, since only here is this network. */
static int
enclose_listen(struct enclose_state *state, struct err *err)
{
	OWN(fd) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_in at = {.sin_family = AF_INET,
		.sin_port = htons(INSIDE_PROXY_PORT),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct inside_report report = {.event = INSIDE_LISTENER};

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 128) < 0)
		return err_sys(err, "port %d", INSIDE_PROXY_PORT);
	if (spawner_protocol_send(INSIDE_CONTROL, &report, sizeof(report), &fd, 1, 0) < 0)
		return err_sys(err, "passing it on");
	return 0;
}

/* A hard limit that is lower stays. */
static int
enclose_limit(int resource, uint64_t value, struct err *err)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) < 0)
		return err_sys(err, "getrlimit %d", resource);
	if (limit.rlim_max > value)
		limit.rlim_max = value;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(resource, &limit) < 0 ? err_sys(err, "setrlimit %d", resource) : 0;
}

static int
enclose_set_limits(struct enclose_state *state, struct err *err)
{
	const struct sandbox_limits *limits = &state->plan.limits;
	/* Where a cgroup counts processes it shall be the one to refuse, for it counts refusals. */
	bool is_counted = state->with->place.into >= 0 || state->with->place.procs[0] >= 0;
	const struct {
		int resource;
		uint64_t value;
	} rows[] = {
		{RLIMIT_CORE, 0},
		{RLIMIT_FSIZE, limits->file_bytes},
		{RLIMIT_MEMLOCK, 64 * 1024},
		{RLIMIT_MSGQUEUE, 0},
		{RLIMIT_NICE, 0},
		{RLIMIT_NOFILE, limits->open_files},
		{RLIMIT_NPROC, limits->processes + (is_counted ? 64 : 0)},
		{RLIMIT_RTPRIO, 0},
		{RLIMIT_SIGPENDING, 1024},
		{RLIMIT_STACK, 8 * MIB},
	};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(rows) / sizeof(*rows); i++)
		rc = enclose_limit(rows[i].resource, rows[i].value, err);
	return rc;
}

static int
enclose_place_descriptors(struct enclose_state *state, struct err *err)
{
	static const struct {
		enum inside_fd from;
		int to;
	} moves[] = {
		{INSIDE_FD_STDOUT, 1},
		{INSIDE_FD_STDERR, 2},
		{INSIDE_FD_CHANNEL, INSIDE_CHANNEL},
		{INSIDE_FD_OUTPUT, INSIDE_OUTPUT},
	};
	OWN(fd) int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null < 0 || dup2(null, 0) < 0)
		return err_sys(err, "/dev/null");
	for (size_t i = 0; i < sizeof(moves) / sizeof(*moves); i++) {
		int from = state->fds[moves[i].from];

		if (from < 0)
			close(moves[i].to);
		else if (dup2(from, moves[i].to) < 0)
			return err_sys(err, "descriptor %d", moves[i].to);
	}
	return close_range(ENCLOSE_FIRST_FD, ~0u, 0) < 0 ? err_sys(err, "close_range") : 0;
}

static int
enclose_drop_capabilities(struct enclose_state *state, struct err *err)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
		syscall(SYS_capset, &head, none) < 0)
		return err_sys(err, "capset");
	return 0;
}

static int
enclose_enter_landlock(struct enclose_state *state, struct err *err)
{
	static const char *const writable[][3] = {
		[SANDBOX_INSTANCE] = {"/tmp"},
		[SANDBOX_UNPACK] = {"/tmp", "/out"},
		[SANDBOX_BUILD] = {"/tmp", "/build"},
	};

	if (state->with->landlock_abi == 0)
		return 0;
	return landlock_enter(state->with->landlock_abi, writable[state->plan.kind], err);
}

static int
enclose_install_filter(struct enclose_state *state, struct err *err)
{
	return syscall_filter_install(state->with->filter, err);
}

static int
enclose_become_init(struct enclose_state *state, struct err *err)
{
	const struct sandbox_limits *limits = &state->plan.limits;
	char kind[2] = {(char)('0' + state->plan.kind), '\0'}, bytes[24], entries[16];
	char *arguments[] = {"mayfly-init", kind, bytes, entries, NULL};
	char *environment[] = {NULL};

	snprintf(bytes, sizeof(bytes), "%llu",
		limits->unpacked_bytes ? (unsigned long long)limits->unpacked_bytes
				       : UNPACK_BYTES_DEFAULT);
	snprintf(entries, sizeof(entries), "%u",
		limits->unpacked_entries ? limits->unpacked_entries : UNPACK_ENTRIES_DEFAULT);
	execveat(INSIDE_INIT, "", arguments, environment, AT_EMPTY_PATH);
	return err_sys(err, "exec");
}

static const struct enclose_step enclose_sandbox_steps[] = {
	{"waiting for its plan", enclose_await_plan, ENCLOSE_ALL},
	{"mounting the root", enclose_mount_root, ENCLOSE_ALL},
	{"mounting the code", enclose_mount_code, ENCLOSE_INSTANCE | ENCLOSE_BUILD},
	{"mounting the dependencies", enclose_mount_deps, ENCLOSE_INSTANCE | ENCLOSE_BUILD},
	{"mounting the new tree", enclose_mount_out, ENCLOSE_UNPACK},
	{"mounting /tmp", enclose_mount_tmp, ENCLOSE_ALL},
	{"mounting /build", enclose_mount_build, ENCLOSE_BUILD},
	{"mounting /proc", enclose_mount_proc, ENCLOSE_ALL},
	{"mounting /dev", enclose_mount_dev, ENCLOSE_ALL},
	{"moving into its root", enclose_move_in, ENCLOSE_ALL},
	{"listening for its proxy", enclose_listen, ENCLOSE_BUILD},
	{"setting resource limits", enclose_set_limits, ENCLOSE_ALL},
	{"placing descriptors", enclose_place_descriptors, ENCLOSE_ALL},
	{"dropping capabilities", enclose_drop_capabilities, ENCLOSE_ALL},
	{"entering Landlock", enclose_enter_landlock, ENCLOSE_ALL},
	{"filtering system calls", enclose_install_filter, ENCLOSE_ALL},
	{"starting mayfly-init", enclose_become_init, ENCLOSE_ALL},
};

_Noreturn static void
enclose_fail(const struct enclosure *enclosure, const struct err *err)
{
	struct inside_report report = {.event = INSIDE_FAILED, .err = *err};

	/* The first steps run before the socket has its place. */
	if (spawner_protocol_send(INSIDE_CONTROL, &report, sizeof(report), NULL, 0, 0) < 0)
		spawner_protocol_send(enclosure->control, &report, sizeof(report), NULL, 0, 0);
	_exit(1);
}

static void
enclose_walk(struct enclose_state *state, const struct enclose_step *steps, size_t n)
{
	struct err err = {0};

	for (size_t i = 0; i < n; i++) {
		if (!(steps[i].kinds & (1u << state->plan.kind)))
			continue;
		if (steps[i].run(state, &err) < 0) {
			err_wrap(&err, err.code, "%s", steps[i].doing);
			enclose_fail(state->with, &err);
		}
	}
}

void
enclose_run(struct enclosure *enclosure)
{
	struct enclose_state state = {.with = enclosure};

	enclose_walk(&state, enclose_seat_steps,
		sizeof(enclose_seat_steps) / sizeof(*enclose_seat_steps));
	enclose_walk(&state, enclose_sandbox_steps,
		sizeof(enclose_sandbox_steps) / sizeof(*enclose_sandbox_steps));
	_exit(1);
}
