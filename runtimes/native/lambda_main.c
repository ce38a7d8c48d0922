/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mayfly-lambda - runs a native program, and is Lambda's Runtime API 2018-06-01 for it.
 *
 *	mayfly-lambda [folder of the code, /code by default]
 *
 * A program that is linked with libmayfly says READY on descriptor 3 and serves its calls there.
 *One that knows Lambda asks for its first event at http://$AWS_LAMBDA_RUNTIME_API. Nobody has to
 *say which of the two it is.
 *
 * With MAYFLY_ISOLATION=instance the program is started once and inherits descriptor 3. If it
 *serves there, this process only waits for its end; from its first request for an event on, this
 *process reads the descriptor, and the program never does. Up to MAYFLY_CONCURRENCY requests for
 *events may wait at one time.
 *
 * With MAYFLY_ISOLATION=call it is started on trial, and ended when it has shown what it is. Then
 * one that is linked with libmayfly takes this process's place. One that knows Lambda is started
 * anew for each call, and ended with all that it started when it asks for the next event. Between
 * calls this process rests: one thread in a read of descriptor 3, no child, no timer, descriptors 0
 * to 3 and no other. So a keeper can bring it back to the state that it had before its first call.
 *
 * One thread.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exec_children.h"
#include "exec_program.h"
#include "lambda_api.h"

#define AFTER_MS 20 /* that a program has behind its answer to ask for the next event */
#define N_OTHERS 2  /* items of poll(2) before those of the API */

struct lambda {
	const char *path; /* borrowed: of the program */
	struct mf_channel channel;
	struct lambda_api api;
	pid_t pid; /* of the program */
	int done;  /* its pidfd */
};

/* ---- the program ---- */

static const char *
variable(const char *name)
{
	const char *value = getenv(name);

	return value ? value : "";
}

/* What every custom runtime of Lambda finds in its environment. */
static void
set_environment(const char *folder)
{
	const char *const copies[][2] = {{"AWS_LAMBDA_FUNCTION_NAME", "MAYFLY_FUNCTION"},
		{"AWS_LAMBDA_FUNCTION_VERSION", "MAYFLY_VERSION"},
		{"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "MAYFLY_MEMORY_MIB"},
		{"AWS_LAMBDA_LOG_STREAM_NAME", "MAYFLY_VERSION"}, {"_HANDLER", "MAYFLY_HANDLER"}};
	char group[256];

	for (size_t i = 0; i < sizeof(copies) / sizeof(copies[0]); i++)
		setenv(copies[i][0], variable(copies[i][1]), 1);
	snprintf(group, sizeof(group), "/mayfly/%.100s/%.100s", variable("MAYFLY_ORG"),
		variable("MAYFLY_FUNCTION"));
	setenv("AWS_LAMBDA_LOG_GROUP_NAME", group, 1);
	setenv("AWS_LAMBDA_MAX_CONCURRENCY",
		*variable("MAYFLY_CONCURRENCY") ? variable("MAYFLY_CONCURRENCY") : "1", 0);
	setenv("AWS_REGION", "mayfly", 0);
	setenv("AWS_DEFAULT_REGION", "mayfly", 0);
	setenv("AWS_EXECUTION_ENV", "mayfly", 0);
	setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand", 0);
	setenv("LAMBDA_TASK_ROOT", folder, 1);
	setenv("LAMBDA_RUNTIME_DIR", "/runtime", 1);
	setenv("TZ", ":UTC", 0);
}

/* The handler names the program, or is a word for a program named bootstrap. */
static const char *
program_of(const char *folder)
{
	const char *handler = variable("MAYFLY_HANDLER");
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%.2047s/%.2047s", folder, handler);
	return *handler && stat(path, &st) == 0 && S_ISREG(st.st_mode) ? handler : "bootstrap";
}

/* Becomes the program, with `channel` as its descriptor 3 (-1: none). */
static void
become(const char *path, int channel)
{
	char *const argv[] = {(char *)path, NULL};

	if (channel < 0)
		close(FRAME_FD);
	else if (channel == FRAME_FD)
		fcntl(FRAME_FD, F_SETFD, 0);
	else
		dup2(channel, FRAME_FD);
	signal(SIGPIPE, SIG_DFL);
	execv(path, argv);
	perror(path);
}

static bool
start(struct lambda *lambda, int channel)
{
	lambda->pid = fork();
	if (lambda->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		become(lambda->path, channel);
		_exit(126);
	}
	lambda->done = lambda->pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, lambda->pid, 0);
	return lambda->done >= 0;
}

static int
status_of_program(struct lambda *lambda)
{
	int status = 0;

	waitpid(lambda->pid, &status, 0);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static bool
fail(struct lambda *lambda, const char *why)
{
	mf_channel_error(&lambda->channel, FRAME_FAIL, 0, "Runtime.InvalidEntrypoint", why, "");
	return false;
}

/* Waits for the API's clients, and for two descriptors besides (-1: none; no events: for its
 * end). Gives what happened to those. False when the time is over. */
static bool
attend(struct lambda *lambda, struct pollfd others[N_OTHERS], int wait_ms)
{
	struct pollfd items[N_OTHERS + LAMBDA_ITEMS];
	size_t n = lambda_api_items(&lambda->api, items + N_OTHERS);
	int n_ready;

	memcpy(items, others, sizeof(*others) * N_OTHERS);
	do {
		n_ready = poll(items, N_OTHERS + n, wait_ms);
	} while (n_ready < 0 && errno == EINTR);
	memcpy(others, items, sizeof(*others) * N_OTHERS);
	if (n_ready > 0)
		lambda_api_attend(&lambda->api, items + N_OTHERS, n);
	return n_ready > 0;
}

static bool
is_at_end(const struct pollfd *item)
{
	return item->revents & (POLLHUP | POLLERR) && !(item->revents & POLLIN);
}

/* ---- isolation instance ---- */

/* Gives waiting requests the events that are there; reads one more from the channel if `can_read`.
 * False when the daemon is gone. */
static bool
give_events(struct lambda *lambda, bool can_read)
{
	struct mf_frame frame;

	while (lambda_api_is_waiting(&lambda->api) &&
		(can_read || mf_channel_has_frame(&lambda->channel))) {
		can_read = false;
		if (!mf_channel_read(&lambda->channel, &frame))
			return false;
		if (frame.head.kind == FRAME_CALL)
			lambda_api_give(&lambda->api, &frame);
	}
	return true;
}

/* Until the program ends, or the daemon does. Gives the exit status. */
static int
serve_instance(struct lambda *lambda)
{
	bool is_asked = false;

	if (!start(lambda, FRAME_FD))
		return !fail(lambda, "the program could not be started");
	for (;;) {
		bool is_waiting = lambda_api_is_waiting(&lambda->api);
		/* A program that serves descriptor 3 itself sees there that the daemon left. */
		struct pollfd others[N_OTHERS] = {
			{is_asked ? FRAME_FD : -1, is_waiting ? POLLIN : 0, 0},
			{lambda->done, POLLIN, 0}};

		attend(lambda, others, -1);
		if (others[1].revents)
			return status_of_program(lambda);
		if (lambda->api.is_asked && !is_asked)
			mf_channel_send(&lambda->channel, FRAME_READY, 0, 0, NULL, 0);
		is_asked = lambda->api.is_asked;
		if (is_at_end(&others[0]) || !give_events(lambda, others[0].revents & POLLIN))
			return 0;
	}
}

/* ---- isolation call ---- */

enum lambda_kind { LAMBDA_NONE, LAMBDA_ASKS, LAMBDA_SERVES };

/* What a program on trial said on its descriptor 3. */
static enum lambda_kind
hear(struct lambda *lambda, struct mf_channel *trial)
{
	struct mf_frame frame;

	if (!mf_channel_read(trial, &frame)) {
		close(trial->fd);
		trial->fd = -1;
		return LAMBDA_NONE;
	}
	if (frame.head.kind == FRAME_FAIL)
		mf_channel_send(&lambda->channel, FRAME_FAIL, 0, 0, frame.payload, frame.head.size);
	return frame.head.kind == FRAME_READY ? LAMBDA_SERVES : LAMBDA_NONE;
}

/* Until it has shown what it is; LAMBDA_NONE when it ended before that, with its exit status. */
static enum lambda_kind
watch_trial(struct lambda *lambda, struct mf_channel *trial, int *ret_status)
{
	enum lambda_kind kind = LAMBDA_NONE;

	while (!kind) {
		struct pollfd others[N_OTHERS] = {
			{trial->fd, POLLIN, 0}, {lambda->done, POLLIN, 0}};

		attend(lambda, others, -1);
		if (others[0].revents)
			kind = hear(lambda, trial);
		else if (lambda->api.is_asked)
			kind = LAMBDA_ASKS;
		else if (others[1].revents)
			break;
	}
	*ret_status = kind ? 0 : status_of_program(lambda);
	return kind;
}

static int
remove_entry(const char *path, const struct stat *st, int what, struct FTW *at)
{
	(void)st, (void)what;
	if (at->level)
		remove(path);
	return 0;
}

static bool
is_tmp_empty(void)
{
	DIR *stream = opendir("/tmp");
	struct dirent *entry;
	bool is_empty = stream != NULL;

	while (stream && is_empty && (entry = readdir(stream)))
		is_empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	if (stream)
		closedir(stream);
	return is_empty;
}

/* Starts the program once and ends it again with all that it started and all that it wrote: in a
 * sandbox, where this process is the child of pid 1 and /tmp is the function's own. */
static enum lambda_kind
try_program(struct lambda *lambda, int *ret_status)
{
	bool is_tmp_ours = getppid() == 1 && is_tmp_empty(), is_clear;
	struct mf_channel trial = {.fd = -1};
	enum lambda_kind kind = LAMBDA_NONE;
	int pair[2];

	*ret_status = 1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ||
		!lambda_api_open(&lambda->api) || !start(lambda, pair[1])) {
		fail(lambda, "the program could not be started");
		return LAMBDA_NONE;
	}
	close(pair[1]);
	trial.fd = pair[0];
	kind = watch_trial(lambda, &trial, ret_status);
	is_clear = exec_children_end();
	lambda_api_close(&lambda->api);
	close(lambda->done);
	if (trial.fd >= 0)
		close(trial.fd);
	mf_bytes_done(&trial.in);
	if (is_tmp_ours)
		nftw("/tmp", remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	return is_clear ? kind : LAMBDA_NONE;
}

/* Until the call is answered and the program asks for the next, or ends, or has had its time for
 * that. False when the daemon is gone. */
static bool
watch_call(struct lambda *lambda, const struct mf_frame *frame)
{
	bool is_given = false, is_over = false;

	while (!is_over) {
		struct pollfd others[N_OTHERS] = {{FRAME_FD, 0, 0}, {lambda->done, POLLIN, 0}};
		bool is_answered = is_given && !lambda->api.calls;
		bool is_late = !attend(lambda, others, is_answered ? AFTER_MS : -1);

		if (others[0].revents)
			return false;
		is_over = is_late || others[1].revents;
		if (!lambda_api_is_waiting(&lambda->api))
			continue;
		is_over = is_given;
		if (!is_given)
			lambda_api_give(&lambda->api, frame);
		is_given = true;
	}
	/* What the program sent before it ended. */
	while (attend(lambda, (struct pollfd[N_OTHERS]){{-1, 0, 0}, {-1, 0, 0}}, 0))
		;
	return true;
}

/* The program is over: the call has an answer now, or never gets one. */
static void
answer_for(struct lambda *lambda, uint64_t call, bool is_unanswered)
{
	siginfo_t info = {0};
	char text[128];

	if (!is_unanswered || lambda->api.has_failed)
		return;
	waitid(P_PIDFD, (id_t)lambda->done, &info, WEXITED | WNOHANG | WNOWAIT);
	if (info.si_pid == 0)
		snprintf(text, sizeof(text), "the program asked for the next event instead");
	else if (info.si_code == CLD_EXITED)
		snprintf(text, sizeof(text), "the program ended with status %d", info.si_status);
	else
		snprintf(text, sizeof(text), "the program was ended by signal %d (%s)",
			info.si_status, strsignal(info.si_status));
	mf_channel_error(&lambda->channel, FRAME_ERROR, call, "Runtime.ExitError", text, "");
}

/* Gives false if this process must end. */
static bool
serve_call(struct lambda *lambda, const struct mf_frame *frame)
{
	bool is_there, is_clear;

	lambda->api.start_kind = FRAME_ERROR;
	lambda->api.start_call = frame->head.call;
	if (!lambda_api_open(&lambda->api) || !start(lambda, -1)) {
		mf_channel_error(&lambda->channel, FRAME_ERROR, frame->head.call, "Error",
			"the program could not be started", "");
		return false;
	}
	is_there = watch_call(lambda, frame);
	answer_for(lambda, frame->head.call, lambda->api.calls || !lambda->api.is_asked);
	is_clear = exec_children_end();
	lambda_api_close(&lambda->api);
	close(lambda->done);
	return is_there && is_clear;
}

/* Gives the exit status, or does not return: a program that serves descriptor 3 has taken over. */
static int
serve_calls(struct lambda *lambda)
{
	struct mf_frame frame;
	enum lambda_kind kind;
	int status;

	fcntl(FRAME_FD, F_SETFD, FD_CLOEXEC);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	kind = try_program(lambda, &status);
	if (kind == LAMBDA_NONE)
		return status;
	if (kind == LAMBDA_SERVES) {
		prctl(PR_SET_CHILD_SUBREAPER, 0);
		unsetenv("AWS_LAMBDA_RUNTIME_API");
		become(lambda->path, FRAME_FD);
		return 126;
	}
	if (!mf_channel_send(&lambda->channel, FRAME_READY, 0, 0, NULL, 0))
		return 0;
	while (mf_channel_read(&lambda->channel, &frame)) {
		if (frame.head.kind == FRAME_CALL && !serve_call(lambda, &frame))
			return 1;
	}
	return 0;
}

int
main(int argc, char **argv)
{
	static struct lambda lambda = {.channel.fd = FRAME_FD,
		.api = {.channel = &lambda.channel, .start_kind = FRAME_FAIL}};
	const char *folder = argc > 1 ? argv[1] : "/code";
	char path[PATH_MAX + 512];

	signal(SIGPIPE, SIG_IGN);
	lambda.path = path;
	if (!exec_program_find(folder, program_of(folder), path, sizeof(path)))
		return !fail(&lambda, path);
	set_environment(folder);
	if (chdir(folder) < 0) {
		perror("mayfly-lambda");
		return 1;
	}
	if (strcmp(variable("MAYFLY_ISOLATION"), "call") == 0)
		return serve_calls(&lambda);
	if (!lambda_api_open(&lambda.api)) {
		perror("mayfly-lambda");
		return 1;
	}
	return serve_instance(&lambda);
}
