/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/template_start.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own.h"
#include "sandbox/inside.h"
#include "sandbox/spawner_protocol.h"
#include "sandbox/stage.h"
#include "sandbox/template.h"

#define START_ASIDE         64 /* descriptors that are on their way */
#define START_COMMAND_MAX   4096
#define START_ARGUMENTS_MAX 16

static int
start_join_cgroup(void *state, struct err *err)
{
	struct template_start *start = state;

	return cgroup_join(&start->place, err);
}

/* Its output is a pipe, as that of its forks is: an interpreter looks what it is. */
static int
start_place_descriptors(void *state, struct err *err)
{
	struct template_start *start = state;
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int control = fcntl(start->control, F_DUPFD_CLOEXEC, START_ASIDE);
	int output = fcntl(start->output, F_DUPFD_CLOEXEC, START_ASIDE);

	if (null < 0 || control < 0 || output < 0)
		return err_sys(err, "moving descriptors");
	start->control = control;
	if (dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0 || dup2(0, 3) < 0 ||
		dup2(control, TEMPLATE_FD) < 0)
		return err_sys(err, "moving descriptors");
	start->control = TEMPLATE_FD;
	return close_range(TEMPLATE_FD + 1, ~0u, 0) < 0 ? err_sys(err, "close_range") : 0;
}

static int
start_reset_signals(void *state, struct err *err)
{
	sigset_t none;

	sigemptyset(&none);
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? err_sys(err, "the signal mask") : 0;
}

/* Its forks can be found by its group until they have a session of their own. When the machine runs
 * out of memory it goes early, and so do they, who have this from it. */
static int
start_leave_session(void *state, struct err *err)
{
	OWN(fd) int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	umask(022);
	if (fd < 0 || write(fd, "1000", 4) != 4)
		return err_sys(err, "oom_score_adj");
	if (setsid() < 0)
		return err_sys(err, "setsid");
	return prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? err_sys(err, "prctl") : 0;
}

/* What is tried over the network while it boots leads to itself. */
static int
start_raise_loopback(void *state, struct err *err)
{
	return inside_raise_loopback(err);
}

/* As inside a sandbox, for what an interpreter makes of it when it boots. */
static int
start_look_like_inside(void *state, struct err *err)
{
	struct rlimit none = {0, 0}, stack;

	if (sethostname("mayfly", 6) < 0 || setdomainname("", 0) < 0)
		return err_sys(err, "sethostname");
	if (getrlimit(RLIMIT_STACK, &stack) < 0)
		return err_sys(err, "getrlimit");
	stack.rlim_cur = 8 << 20;
	if (stack.rlim_cur > stack.rlim_max)
		stack.rlim_cur = stack.rlim_max;
	if (setrlimit(RLIMIT_STACK, &stack) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
		return err_sys(err, "setrlimit");
	return 0;
}

static int
start_attach(const char *from, enum stage_flags flags, const char *to, struct err *err)
{
	OWN(fd) int mount = stage_copy(from, flags);

	if (mount < 0 || move_mount(mount, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(err, "at %s", to);
	return 0;
}

static int
start_move_in(void *state, struct err *err)
{
	const struct template_start *start = state;
	char path[32];
	int rc;

	snprintf(path, sizeof(path), "/roots/%u", start->root);
	rc = start_attach(path, STAGE_READ_ONLY | STAGE_NO_DEVICES, "/root", err);
	if (rc == 0)
		rc = start_attach("/proc", STAGE_DEEP, "/root/proc", err);
	if (rc == 0)
		rc = start_attach("/dev", STAGE_DEEP, "/root/dev", err);
	if (rc < 0)
		return rc;
	if (chdir("/root") < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return err_sys(err, "pivot_root");
	if (umount2(".", MNT_DETACH) < 0)
		return err_sys(err, "umount");
	return chdir("/") < 0 ? err_sys(err, "chdir") : 0;
}

/* The right to give a fork its pid namespace; in the sandboxes themselves it has every right, as
 * the user who made them. */
static int
start_keep_one_right(void *state, struct err *err)
{
	const struct template_start *start = state;
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {0};

	for (int capability = 0; capability <= start->last_capability; capability++) {
		if (capability != CAP_SYS_ADMIN && prctl(PR_CAPBSET_DROP, capability) < 0)
			return err_sys(err, "capability %d", capability);
	}
	sets[0].effective = sets[0].permitted = 1u << CAP_SYS_ADMIN;
	if (syscall(SYS_capset, &head, sets) < 0)
		return err_sys(err, "capset");
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? err_sys(err, "prctl") : 0;
}

static int
start_become_runtime(void *state, struct err *err)
{
	static char *const environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/tmp",
		"TMPDIR=/tmp", "LANG=C.UTF-8", "TZ=UTC", NULL};
	static char text[START_COMMAND_MAX + 1];
	char *arguments[START_ARGUMENTS_MAX + 1] = {NULL}, *rest = text;
	OWN(fd) int fd = open(TEMPLATE_FILE, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, text, START_COMMAND_MAX);

	if (size <= 0)
		return err_sys(err, "reading /" TEMPLATE_FILE);
	for (size_t i = 0; i < START_ARGUMENTS_MAX && rest && *rest; i++)
		arguments[i] = strsep(&rest, "\n");
	execve(arguments[0], arguments, environment);
	return err_sys(err, "%s", arguments[0]);
}

static const struct inside_step start_steps[] = {
	{"joining its cgroup", start_join_cgroup, INSIDE_ALL},
	{"placing descriptors", start_place_descriptors, INSIDE_ALL},
	{"resetting signals", start_reset_signals, INSIDE_ALL},
	{"leaving the spawner's session", start_leave_session, INSIDE_ALL},
	{"raising its loopback", start_raise_loopback, INSIDE_ALL},
	{"naming its host", start_look_like_inside, INSIDE_ALL},
	{"moving into its root", start_move_in, INSIDE_ALL},
	{"dropping capabilities", start_keep_one_right, INSIDE_ALL},
	{"becoming the runtime", start_become_runtime, INSIDE_ALL},
};

_Noreturn void
template_start_run(struct template_start *start)
{
	struct template_report report = {.magic = TEMPLATE_MAGIC, .event = TEMPLATE_FAILED};

	for (size_t i = 0; i < sizeof(start_steps) / sizeof(*start_steps); i++) {
		if (start_steps[i].run(start, &report.err) == 0)
			continue;
		err_wrap(&report.err, report.err.code, "%s", start_steps[i].doing);
		break;
	}
	spawner_protocol_send(start->control, &report, sizeof(report), NULL, 0, 0);
	_exit(1);
}
