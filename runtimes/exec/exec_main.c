/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mayfly-exec - runs a program for each call: body on stdin, answer from stdout, log on stderr.
 *
 *	mayfly-exec [folder of the code, /code by default]
 *
 * One call at a time. What the program tells of the call stands in its environment, as CGI does it
 * (MAYFLY_METHOD, MAYFLY_HEADER_X_Y, ...). Whatever a call leaves running is killed before its
 * answer ends: this process adopts every orphan below it (PR_SET_CHILD_SUBREAPER) and so can find
 * them all. The contract with the daemon is src/runtime/frame.h.
 *
 * Between calls it rests: one thread in a read of descriptor 3, no child, no timer, descriptors 0
 *to 3 and no other. So a keeper can bring it back to the state that it had before its first call.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exec_children.h"
#include "exec_output.h"
#include "exec_program.h"
#include "mf_inside.h"

#define TAIL_SIZE 2048 /* of stderr, for the error of a program that fails */
#define QUIET_MS  20   /* output that waits for more is sent after it */

extern char **environ;

struct exec_run {
	pid_t pid;
	int done; /* pidfd */
	int in, out, errors;
	const char *body;
	size_t body_left;
	struct exec_output output;
	char tail[TAIL_SIZE];
	size_t tail_size;
};

/* ---- environment ---- */

struct exec_environment {
	char **at; /* owned, as its strings are */
	size_t n, cap;
};

static void
add_variable(struct exec_environment *env, const char *name, const char *value)
{
	char *text = NULL;

	if (env->n + 1 >= env->cap) {
		env->cap = env->cap ? 2 * env->cap : 64;
		env->at = mf_memory(env->at, env->cap * sizeof(*env->at));
	}
	if (asprintf(&text, "%s=%s", name, value) < 0)
		abort();
	env->at[env->n++] = text;
	env->at[env->n] = NULL;
}

static void
free_environment(struct exec_environment *env)
{
	for (size_t i = 0; i < env->n; i++)
		free(env->at[i]);
	free(env->at);
}

/* "x-forwarded-for" → MAYFLY_HEADER_X_FORWARDED_FOR; names with other characters are left out. */
static void
add_header(struct exec_environment *env, const char *name, const char *value)
{
	char variable[160] = "MAYFLY_HEADER_";
	size_t at = strlen(variable);

	for (; *name && at + 1 < sizeof(variable); name++) {
		char c = *name;

		if (c >= 'a' && c <= 'z')
			c = (char)(c - 0x20);
		if (c != '-' && c != '_' && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9'))
			return;
		variable[at++] = c == '-' ? '_' : c;
	}
	variable[at] = '\0';
	if (!*name)
		add_variable(env, variable, value);
}

static void
add_headers(struct exec_environment *env, struct mf_json headers)
{
	struct mf_json key;

	for (struct mf_json at = mf_json_next(headers, (struct mf_json){NULL, NULL}, &key); at.at;
		at = mf_json_next(headers, at, &key)) {
		char *name = mf_json_dup(key, NULL), *value = mf_json_dup(at, NULL);

		if (value) {
			add_header(env, name, value);
			if (strcasecmp(name, "content-type") == 0)
				add_variable(env, "CONTENT_TYPE", value);
		}
		free(name);
		free(value);
	}
}

static void
make_environment(struct mf_request *request, struct exec_environment *env)
{
	char number[32];

	for (char **at = environ; *at; at++) {
		char *name = strdup(*at), *equals = strchr(name, '=');

		if (equals && strncmp(name, "MAYFLY_COMMAND_", 15) != 0) {
			*equals = '\0';
			add_variable(env, name, equals + 1);
		}
		free(name);
	}
	snprintf(number, sizeof(number), "%zu", request->body.size);
	add_variable(env, "MAYFLY_CALL_ID", request->call_id);
	add_variable(env, "CONTENT_LENGTH", number);
	snprintf(number, sizeof(number), "%llu",
		(unsigned long long)request->start.deadline_unix_ms);
	add_variable(env, "MAYFLY_DEADLINE_MS", number);
	if (request->is_direct)
		return;
	add_variable(env, "MAYFLY_METHOD", request->method);
	add_variable(env, "MAYFLY_PATH", request->path);
	add_variable(env, "MAYFLY_QUERY", request->query);
	add_headers(env, mf_json_get(request->event, "headers"));
}

/* ---- starting ---- */

static void
become(const char *path, struct exec_environment *env, const int fds[3])
{
	char *const argv[] = {(char *)path, NULL};

	for (int i = 0; i < 3; i++)
		dup2(fds[i], i);
	signal(SIGPIPE, SIG_DFL);
	close_range(3, ~0u, 0);
	execve(path, argv, env->at);
	dprintf(2, "%s: %s\n", path, strerror(errno));
	_exit(126);
}

static bool
make_pipes(int in[2], int out[2], int errors[2])
{
	if (pipe2(in, O_CLOEXEC) < 0)
		return false;
	if (pipe2(out, O_CLOEXEC) == 0) {
		if (pipe2(errors, O_CLOEXEC) == 0)
			return true;
		close(out[0]);
		close(out[1]);
	}
	close(in[0]);
	close(in[1]);
	return false;
}

/* False with errno. */
static bool
start(struct exec_run *run, const char *path, struct exec_environment *env)
{
	int in[2], out[2], errors[2], cause = 0;

	if (!make_pipes(in, out, errors))
		return false;
	run->pid = fork();
	if (run->pid == 0)
		become(path, env, (const int[]){in[0], out[1], errors[1]});
	if (run->pid < 0)
		cause = errno;
	close(in[0]);
	close(out[1]);
	close(errors[1]);
	run->in = in[1];
	run->out = out[0];
	run->errors = errors[0];
	run->done = run->pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, run->pid, 0);
	if (run->pid > 0 && run->done >= 0) {
		fcntl(run->in, F_SETFL, O_NONBLOCK);
		fcntl(run->out, F_SETFL, O_NONBLOCK);
		fcntl(run->errors, F_SETFL, O_NONBLOCK);
		return true;
	}
	cause = cause ? cause : errno;
	if (run->pid > 0)
		exec_children_end();
	close(run->in);
	close(run->out);
	close(run->errors);
	errno = cause;
	return false;
}

/* ---- while it runs ---- */

static void
close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void
feed(struct exec_run *run)
{
	ssize_t n = write(run->in, run->body, run->body_left);

	if (n > 0) {
		run->body += n;
		run->body_left -= (size_t)n;
	}
	if (run->body_left == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		close_one(&run->in);
}

static void
keep_tail(struct exec_run *run, const char *bytes, size_t size)
{
	if (size > TAIL_SIZE) {
		bytes += size - TAIL_SIZE;
		size = TAIL_SIZE;
	}
	if (run->tail_size + size > TAIL_SIZE) {
		size_t drop = run->tail_size + size - TAIL_SIZE;

		memmove(run->tail, run->tail + drop, run->tail_size - drop);
		run->tail_size -= drop;
	}
	memcpy(run->tail + run->tail_size, bytes, size);
	run->tail_size += size;
}

static void
log_bytes(const char *bytes, size_t size)
{
	while (size) {
		ssize_t n = write(STDERR_FILENO, bytes, size);

		if (n < 0 && errno != EINTR)
			return;
		if (n > 0) {
			bytes += n;
			size -= (size_t)n;
		}
	}
}

/* Reads what is there; false when there is nothing now, and closes at the end. */
static bool
take(struct exec_run *run, int *fd)
{
	char bytes[65536];
	ssize_t n = *fd < 0 ? -1 : read(*fd, bytes, sizeof(bytes));

	if (n < 0)
		return false;
	if (n == 0) {
		close_one(fd);
		return false;
	}
	if (fd == &run->out) {
		exec_output_add(&run->output, bytes, (size_t)n);
	} else {
		log_bytes(bytes, (size_t)n);
		keep_tail(run, bytes, (size_t)n);
	}
	return true;
}

/* Until the program itself has ended. */
static void
attend(struct exec_run *run)
{
	for (;;) {
		struct pollfd items[] = {{run->done, POLLIN, 0}, {run->out, POLLIN, 0},
			{run->errors, POLLIN, 0}, {run->in, POLLOUT, 0}};
		bool is_waiting = run->output.held.size && !run->output.is_direct;
		int n = poll(items, 4, is_waiting ? QUIET_MS : -1);

		if (n == 0)
			exec_output_flush(&run->output);
		if (n <= 0)
			continue;
		if (items[1].revents)
			take(run, &run->out);
		if (items[2].revents)
			take(run, &run->errors);
		if (items[3].revents)
			feed(run);
		if (items[0].revents)
			return;
	}
}

/* ---- what is left of it ---- */

/* The last lines of stderr, without what the cut left of a character. */
static void
send_failure(struct exec_run *run, int status)
{
	struct mf_bytes text = {0};
	char start[64];
	const char *tail = run->tail;
	size_t size = run->tail_size;

	if (WIFSIGNALED(status))
		snprintf(start, sizeof(start), "the program was ended by signal %d (%s)",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(start, sizeof(start), "the program ended with status %d",
			WEXITSTATUS(status));
	mf_bytes_print(&text, start);
	while (size && (tail[size - 1] == '\n' || tail[size - 1] == ' '))
		size--;
	if (size)
		mf_bytes_print(&text, ": ");
	while (size) {
		size_t step = mf_utf8_step(tail, size);

		if (step && *tail)
			mf_bytes_add(&text, tail, step);
		else
			mf_bytes_print(&text, "?");
		tail += step ? step : 1;
		size -= step ? step : 1;
	}
	mf_channel_error(
		run->output.channel, FRAME_ERROR, run->output.call, "ExitError", text.at, "");
	mf_bytes_done(&text);
}

/* Gives false if the instance must end. */
static bool
finish(struct exec_run *run)
{
	struct mf_channel *channel = run->output.channel;
	int status = 0;
	bool is_clear;

	waitpid(run->pid, &status, 0);
	is_clear = exec_children_end();
	while (take(run, &run->out))
		;
	while (take(run, &run->errors))
		;
	close_one(&run->in);
	close_one(&run->out);
	close_one(&run->errors);
	close_one(&run->done);
	if (status)
		send_failure(run, status);
	else if (!run->output.is_invalid)
		exec_output_end(&run->output);
	if (!status && run->output.is_invalid)
		mf_channel_error(channel, FRAME_ERROR, run->output.call, "InvalidAnswer",
			run->output.reason, "");
	exec_output_done(&run->output);
	return is_clear;
}

static const char *
name_of(int number)
{
	switch (number) {
	case EAGAIN:
		return "EAGAIN";
	case EMFILE:
		return "EMFILE";
	case ENOMEM:
		return "ENOMEM";
	default:
		return "Error";
	}
}

static bool
serve(struct mf_channel *channel, const struct mf_frame *frame, const char *path)
{
	struct exec_run run = {.output = {.channel = channel, .call = frame->head.call}};
	struct exec_environment env = {0};
	struct mf_request request;
	struct mf_call call;
	bool is_clear = true;
	char text[128];

	if (!mf_call_parse(frame, &call))
		return false;
	mf_request_init(&request, &call);
	make_environment(&request, &env);
	run.body = request.body.at;
	run.body_left = request.body.size;
	run.output.is_direct = request.is_direct;
	if (start(&run, path, &env)) {
		feed(&run);
		attend(&run);
		is_clear = finish(&run);
	} else {
		snprintf(text, sizeof(text), "starting the program: %s", strerror(errno));
		mf_channel_error(channel, FRAME_ERROR, frame->head.call, name_of(errno), text, "");
	}
	free_environment(&env);
	mf_request_done(&request);
	return is_clear;
}

int
main(int argc, char **argv)
{
	const char *folder = argc > 1 ? argv[1] : "/code";
	const char *handler = getenv("MAYFLY_HANDLER");
	struct mf_channel channel = {.fd = FRAME_FD};
	struct mf_frame frame;
	char path[PATH_MAX + 512];
	bool is_clear = true;

	signal(SIGPIPE, SIG_IGN);
	fcntl(FRAME_FD, F_SETFD, FD_CLOEXEC);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (!exec_program_find(folder, handler ? handler : "", path, sizeof(path))) {
		mf_channel_error(&channel, FRAME_FAIL, 0, "Runtime.InvalidEntrypoint", path, "");
		return 1;
	}
	if (chdir(folder) < 0 || !mf_channel_send(&channel, FRAME_READY, 0, 0, NULL, 0))
		return 1;
	while (is_clear && mf_channel_read(&channel, &frame)) {
		if (frame.head.kind == FRAME_CALL)
			is_clear = serve(&channel, &frame, path);
	}
	mf_bytes_done(&channel.in);
	return is_clear ? 0 : 1;
}
