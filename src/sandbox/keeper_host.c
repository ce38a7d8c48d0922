/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/keeper_host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "keeper/keeper.h"
#include "sandbox/inside.h"
#include "sandbox/spawner_protocol.h"
#include "sandbox/stage.h"
#include "sandbox/walls.h"
#include "sandbox/watch.h"

#define KEEPER_HOST_PROGRAM 5  /* mayfly-keeper itself, until it is exec'd */
#define KEEPER_HOST_ASIDE   64 /* descriptors that are on their way */

/* What the child goes by, copied: it has no seats (seat.h). */
struct keeper_birth {
	struct keeper_host_plan plan;
	int daemon, control; /* its ends */
};

static int
keeper_enter_user(void *state, struct err *err)
{
	const struct keeper_birth *birth = state;

	return setns(birth->plan.seat, CLONE_NEWUSER) < 0 ? err_sys(err, "setns") : 0;
}

/* What is written to descriptor 2 goes to whatever has that number: the first three are held. */
static int
keeper_place_descriptors(void *state, struct err *err)
{
	struct keeper_birth *birth = state;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC); /* closed with the rest */
	int fds[] = {null, null, null, birth->daemon, birth->control, birth->plan.program};
	int n = sizeof(fds) / sizeof(*fds);

	for (int i = 0; i < n; i++) {
		fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, KEEPER_HOST_ASIDE);
		if (fds[i] < 0)
			return err_sys(err, "moving descriptors");
	}
	birth->control = fds[KEEPER_FD_SPAWNER];
	for (int i = 0; i < n; i++) {
		if (dup3(fds[i], i, i == KEEPER_HOST_PROGRAM ? O_CLOEXEC : 0) < 0)
			return err_sys(err, "descriptor %d", i);
	}
	birth->control = KEEPER_FD_SPAWNER;
	return close_range(KEEPER_HOST_PROGRAM + 1, ~0u, 0) < 0 ? err_sys(err, "close_range") : 0;
}

static int
keeper_see_processes_only(void *state, struct err *err)
{
	return chdir(STAGE_KEEPER) < 0 || chroot(".") < 0 ? err_sys(err, "chroot") : 0;
}

static int
keeper_become_user(void *state, struct err *err)
{
	const struct keeper_birth *birth = state;
	struct rlimit none = {0, 0};
	int rc = walls_become_user(birth->plan.is_user_shared, err);

	if (rc < 0)
		return rc;
	return setrlimit(RLIMIT_CORE, &none) < 0 ? err_sys(err, "setrlimit") : 0;
}

/* After the user has changed, which forgets it. */
static int
keeper_die_with_spawner(void *state, struct err *err)
{
	return prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? err_sys(err, "prctl") : 0;
}

/* No user 0 is mapped here, so an exec leaves what is ambient and nothing else. */
static int
keeper_keep_tracing(void *state, struct err *err)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {0};

	sets[0].effective = sets[0].permitted = sets[0].inheritable = 1u << CAP_SYS_PTRACE;
	if (syscall(SYS_capset, &head, sets) < 0)
		return err_sys(err, "capset");
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_PTRACE, 0, 0) < 0 ||
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, "prctl");
	return 0;
}

static int
keeper_become_program(void *state, struct err *err)
{
	static char *const arguments[] = {"mayfly-keeper", NULL};
	static char *const environment[] = {NULL};

	execveat(KEEPER_HOST_PROGRAM, "", arguments, environment, AT_EMPTY_PATH);
	return err_sys(err, "exec");
}

static const struct inside_step keeper_steps[] = {
	{"entering the sandbox's user namespace", keeper_enter_user, INSIDE_ALL},
	{"placing descriptors", keeper_place_descriptors, INSIDE_ALL},
	{"leaving the stage", keeper_see_processes_only, INSIDE_ALL},
	{"becoming user 1000", keeper_become_user, INSIDE_ALL},
	{"binding its life to the spawner's", keeper_die_with_spawner, INSIDE_ALL},
	{"keeping the right to trace", keeper_keep_tracing, INSIDE_ALL},
	{"becoming mayfly-keeper", keeper_become_program, INSIDE_ALL},
};

_Noreturn static void
keeper_run(struct keeper_birth *birth)
{
	static const uint32_t any_kind = SANDBOX_INSTANCE;

	inside_walk(keeper_steps, sizeof(keeper_steps) / sizeof(*keeper_steps), &any_kind, birth,
		&birth->control);
	_exit(1);
}

static void
keeper_close_all(struct keeper_host *keeper)
{
	watch_close(&keeper->pidfd);
	own_fd(&keeper->subject);
	own_fd(&keeper->daemon);
	*keeper = KEEPER_HOST_NONE;
}

int
keeper_host_start(struct keeper_host *keeper, const struct keeper_host_plan *plan, struct err *err)
{
	struct clone_args how = {
		.flags = CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)&keeper->pidfd,
		.exit_signal = SIGCHLD,
	};
	struct keeper_birth birth = {.plan = *plan};
	int pairs[2][2] = {{-1, -1}, {-1, -1}};
	pid_t pid;

	must(keeper->pidfd < 0);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pairs[0]) < 0 ||
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pairs[1]) < 0) {
		own_fd(&pairs[0][0]);
		own_fd(&pairs[0][1]);
		return err_sys(err, "making the sockets of a keeper");
	}
	birth.daemon = pairs[0][1];
	birth.control = pairs[1][1];
	pid = (pid_t)syscall(SYS_clone3, &how, sizeof(how));
	if (pid == 0)
		keeper_run(&birth);
	close(birth.daemon);
	close(birth.control);
	keeper->daemon = pairs[0][0];
	keeper->subject = pairs[1][0];
	if (pid > 0)
		return 0;
	err_sys(err, "cloning a keeper");
	keeper_close_all(keeper);
	return ERR_SYSTEM;
}

/* A keeper that has ended does not hear it. */
void
keeper_host_introduce(struct keeper_host *keeper, pid_t init_pid, pid_t main_pid)
{
	struct keeper_subject subject = {.magic = KEEPER_MAGIC,
		.init_pid = init_pid,
		.main_pid = main_pid,
		.channel = INSIDE_CHANNEL};

	if (keeper->pidfd >= 0)
		spawner_protocol_send(
			keeper->subject, &subject, sizeof(subject), NULL, 0, MSG_DONTWAIT);
}

void
keeper_host_end(struct keeper_host *keeper)
{
	if (keeper->pidfd < 0)
		return;
	syscall(SYS_pidfd_send_signal, keeper->pidfd, SIGKILL, NULL, 0);
	keeper->is_ended = true;
}

/* The step that failed, in its own words, else its status. */
static int
keeper_find_reason(const struct keeper_host *keeper, const siginfo_t *how, struct err *err)
{
	struct inside_report report;

	if (recv(keeper->subject, &report, sizeof(report), MSG_DONTWAIT) == sizeof(report) &&
		report.event == INSIDE_FAILED) {
		*err = report.err;
		err->text[sizeof(err->text) - 1] = '\0';
		return ERR_SYSTEM;
	}
	if (how->si_code == CLD_EXITED)
		return how->si_status == 0
			       ? 0
			       : err_set(err, ERR_SYSTEM, "exited with status %d", how->si_status);
	return err_set(err, ERR_SYSTEM, "killed by signal %d", how->si_status);
}

int
keeper_host_bury(struct keeper_host *keeper, struct err *err)
{
	siginfo_t how = {0};
	int rc;

	if (keeper->pidfd < 0)
		return 0;
	while (waitid(P_PIDFD, (id_t)keeper->pidfd, &how, WEXITED) < 0 && errno == EINTR)
		;
	rc = keeper->is_ended ? 0 : keeper_find_reason(keeper, &how, err);
	keeper_close_all(keeper);
	return rc;
}
