/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mayfly-init - pid 1 of a sandbox: shuts itself in (furnish.h), makes the environment, starts the
 * main program, buries the dead, and tells the spawner how the main program ended. A main program
 * that was forked from a template is the spawner's child: then this one only holds the place.
 *
 * Descriptor 3 is the channel, on which the INIT frame comes first (runtime/frame.h); descriptor 5
 * leads to the spawner and is closed to what is started. When the main program ends so does this,
 * and the kernel ends whatever else is left in the sandbox. Static, no heap, no file of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/frame.h"
#include "sandbox/furnish.h"
#include "sandbox/unpack.h"

#define INIT_FRAME_MAX     (512 * 1024)
#define INIT_VARIABLES_MAX 1024
#define INIT_ARGUMENTS_MAX 64
#define INIT_COMMAND       "MAYFLY_COMMAND_"

/* What a shell uses for a program that cannot be started. */
#define INIT_CANNOT_START 127

static char init_frame[INIT_FRAME_MAX + 1];
static char *init_arguments[INIT_ARGUMENTS_MAX + 1];
static char *init_environment[INIT_VARIABLES_MAX + 1] = {
	"PATH=/usr/local/bin:/usr/bin:/bin",
	"HOME=/tmp",
	"TMPDIR=/tmp",
	"LANG=C.UTF-8",
	"TZ=UTC",
};

static void
init_report(enum inside_event event, int status)
{
	struct inside_report report = {.event = event, .status = status};

	send(INSIDE_CONTROL, &report, sizeof(report), MSG_NOSIGNAL);
}

_Noreturn static void
init_fail(const char *why)
{
	dprintf(STDERR_FILENO, "mayfly: %s\n", why);
	init_report(INSIDE_EXITED, INIT_CANNOT_START);
	_exit(INIT_CANNOT_START);
}

/* The channel may be non-blocking; the spawner's end of the control socket may be gone. */
static void
init_await_channel(void)
{
	struct pollfd watched[] = {{INSIDE_CHANNEL, POLLIN, 0}, {INSIDE_CONTROL, POLLIN, 0}};

	while (poll(watched, 2, -1) < 0 && errno == EINTR)
		;
	if (watched[1].revents)
		_exit(1);
}

static void
init_read(void *at, size_t size)
{
	for (size_t got = 0; got < size;) {
		ssize_t n = read(INSIDE_CHANNEL, (char *)at + got, size - got);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			init_await_channel();
		else if (n <= 0)
			_exit(0); /* the daemon does not want this sandbox any more */
		else
			got += (size_t)n;
	}
}

static size_t
init_read_frame(void)
{
	struct frame_head head;

	init_await_channel();
	init_read(&head, sizeof(head));
	if (head.kind != FRAME_INIT || head.size > INIT_FRAME_MAX)
		init_fail("the first frame is not INIT, or too long");
	init_read(init_frame, head.size);
	init_frame[head.size] = '\0';
	return head.size;
}

/* MAYFLY_COMMAND_<n> is argument n of the main program. */
static void
init_take_argument(char *variable)
{
	char *behind;
	unsigned long n = strtoul(variable + sizeof(INIT_COMMAND) - 1, &behind, 10);

	if (*behind != '=' || n >= INIT_ARGUMENTS_MAX)
		init_fail("a " INIT_COMMAND " variable has no number that can be");
	init_arguments[n] = behind + 1;
}

/* A variable that is there already is replaced. */
static void
init_take_variable(char *variable)
{
	size_t name = strcspn(variable, "=") + 1, i = 0;

	while (init_environment[i] && strncmp(init_environment[i], variable, name) != 0)
		i++;
	if (i == INIT_VARIABLES_MAX)
		init_fail("more than 1024 variables");
	init_environment[i] = variable;
}

static void
init_take_variables(size_t size)
{
	for (char *at = init_frame; at < init_frame + size; at += strlen(at) + 1) {
		char *equals = strchr(at, '=');

		if (!equals || equals == at)
			continue;
		if (strncmp(at, INIT_COMMAND, sizeof(INIT_COMMAND) - 1) == 0)
			init_take_argument(at);
		else
			init_take_variable(at);
	}
	if (!init_arguments[0])
		init_fail(INIT_COMMAND "0 is missing");
}

/* In the child that becomes the main program. */
_Noreturn static void
init_exec(void)
{
	execve(init_arguments[0], init_arguments, init_environment);
	dprintf(STDERR_FILENO, "mayfly: cannot start %s: %s\n", init_arguments[0], strerror(errno));
	_exit(INIT_CANNOT_START);
}

static int
init_status(int wait_status)
{
	return WIFSIGNALED(wait_status) ? -WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

/* Every orphan of the sandbox becomes a child of this one. */
_Noreturn static void
init_bury_until(pid_t main_program)
{
	int status;
	pid_t pid;

	do {
		pid = waitpid(-1, &status, 0);
	} while (pid != main_program && (pid >= 0 || errno == EINTR));
	init_report(INSIDE_EXITED, pid < 0 ? INIT_CANNOT_START : init_status(status));
	_exit(0);
}

static void
init_prepare_unpack(const struct sandbox_limits *limits)
{
	static char bytes[24], entries[16];

	snprintf(bytes, sizeof(bytes), "%llu",
		limits->unpacked_bytes ? (unsigned long long)limits->unpacked_bytes
				       : UNPACK_BYTES_DEFAULT);
	snprintf(entries, sizeof(entries), "%u",
		limits->unpacked_entries ? limits->unpacked_entries : UNPACK_ENTRIES_DEFAULT);
	init_arguments[0] = INSIDE_UNPACK;
	init_arguments[1] = bytes;
	init_arguments[2] = entries;
}

/* The channel's end is seen by the daemon when the runtime closes its own. */
static void
init_forget_channel(void)
{
	close(INSIDE_CHANNEL);
	close(INSIDE_OUTPUT);
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
}

/* Orphans go without a burial. */
_Noreturn static void
init_hold_place(void)
{
	char word;

	init_forget_channel();
	signal(SIGCHLD, SIG_IGN);
	while (recv(INSIDE_CONTROL, &word, 1, 0) > 0 || errno == EINTR)
		;
	_exit(1);
}

static void
init_await_fork(void)
{
	char word;

	if (recv(INSIDE_CONTROL, &word, 1, 0) != 1)
		_exit(1);
	if (word == INSIDE_FORKED)
		init_hold_place();
}

int
main(void)
{
	const struct inside_plan *plan;
	pid_t pid;

	/* No one in the sandbox looks into pid 1, whose user is theirs. */
	prctl(PR_SET_DUMPABLE, 0);
	prctl(PR_SET_NAME, "mayfly-init");
	fcntl(INSIDE_CONTROL, F_SETFD, FD_CLOEXEC);
	plan = furnish_run();
	init_report(INSIDE_STARTED, 0);
	if (plan->awaits_fork)
		init_await_fork();
	if (plan->kind == SANDBOX_UNPACK)
		init_prepare_unpack(&plan->limits);
	else
		init_take_variables(init_read_frame());
	/* The child does nothing but exec: it need not have a copy of this one's memory. */
	pid = vfork();
	if (pid < 0)
		init_fail("the main program cannot be forked");
	if (pid == 0)
		init_exec();
	init_forget_channel();
	init_bury_until(pid);
}
