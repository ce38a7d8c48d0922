/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>

#include "base/own.h"
#include "runtime/instance_inside.h"

/* A pipe holds no more than this, so one read takes all that was printed before an answer. */
enum { INSTANCE_LOG_PIPE_BYTES = 64 * 1024 };

static _Thread_local char instance_log_scratch[INSTANCE_LOG_PIPE_BYTES];

static uint64_t
instance_log_flood(const struct instance *instance)
{
	uint64_t bytes = 16 * instance->log_bytes;

	return bytes < INSTANCE_LOG_FLOOR_BYTES ? INSTANCE_LOG_FLOOR_BYTES : bytes;
}

static int
instance_log_exceeded(const struct instance *instance, struct err *err)
{
	return err_set(err, ERR_LOG_EXCEEDED,
		"the function printed more than %llu bytes in one call",
		(unsigned long long)instance_log_flood(instance));
}

void
instance_log_give(struct instance_call *call, bool is_stderr, struct str bytes)
{
	struct instance *instance = call->instance;
	uint64_t left = call->n_log_bytes < instance->log_bytes
				? instance->log_bytes - call->n_log_bytes
				: 0;
	struct err err = {0};

	call->n_log_bytes += bytes.len;
	if (call->n_log_bytes > instance_log_flood(instance)) {
		instance_log_exceeded(instance, &err);
		instance_call_break_off(call, &err);
		return;
	}
	if (bytes.len > left) {
		call->is_log_truncated = true;
		bytes.len = left;
	}
	if (bytes.len > 0)
		call->on_log(call, is_stderr, bytes);
}

/* Keeps the end, where the error stands. */
void
instance_log_boot(struct instance *instance, struct str bytes)
{
	struct buf *log = &instance->boot_log;
	struct err err = {0};

	instance->n_boot_log_bytes += bytes.len;
	if (instance->n_boot_log_bytes > instance_log_flood(instance)) {
		instance_log_exceeded(instance, &err);
		instance_end(instance, &err);
	}
	if (bytes.len > INSTANCE_BOOT_LOG_BYTES) {
		bytes.at += bytes.len - INSTANCE_BOOT_LOG_BYTES;
		bytes.len = INSTANCE_BOOT_LOG_BYTES;
	}
	if (log->len + bytes.len > INSTANCE_BOOT_LOG_BYTES)
		buf_eat(log, log->len + bytes.len - INSTANCE_BOOT_LOG_BYTES);
	buf_add_str(log, bytes);
}

static void ON_LOOP
instance_log_end_pipe(struct instance_pipe *pipe)
{
	loop_watch_free(take_ptr(&pipe->watch));
	if (pipe->fd >= 0)
		close(take_fd(&pipe->fd));
}

/* One read: the rest is read in the next turn. With several calls at once, runtimes say by LOG
 * frames whose a line is; what comes through the pipe is given to the oldest. */
static void ON_LOOP
instance_log_read(struct instance_pipe *pipe)
{
	struct instance *instance = pipe->instance;
	struct instance_call *call = list_first(&instance->calls, struct instance_call, link);
	ssize_t n = read(pipe->fd, instance_log_scratch, sizeof(instance_log_scratch));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		instance_log_end_pipe(pipe);
	else if (call)
		instance_log_give(call, pipe->is_stderr, str_n(instance_log_scratch, (size_t)n));
	else if (!instance->is_loaded)
		instance_log_boot(instance, str_n(instance_log_scratch, (size_t)n));
}

/* What is printed between two calls stays in the pipe and goes to the next call; whoever prints
 * more than the pipe holds waits for it. */
static void
instance_log_on_ready(struct loop_watch *watch, int events, void *arg)
{
	struct instance_pipe *pipe = arg;

	thread_on_loop();
	if (pipe->instance->state == INSTANCE_READY && list_is_empty(&pipe->instance->calls)) {
		pipe->is_held = true;
		loop_watch_want(watch, 0);
		return;
	}
	instance_log_read(pipe);
}

void
instance_log_drain(struct instance *instance)
{
	for (int i = 0; i < 2; i++)
		if (instance->pipes[i].fd >= 0)
			instance_log_read(&instance->pipes[i]);
}

void
instance_log_resume(struct instance *instance)
{
	for (int i = 0; i < 2; i++) {
		struct instance_pipe *pipe = &instance->pipes[i];

		if (pipe->is_held && pipe->watch)
			loop_watch_want(pipe->watch, UV_READABLE);
		pipe->is_held = false;
	}
}

static int ON_LOOP
instance_log_open_pipe(struct instance *instance, int i, int *ret_write_end, struct err *err)
{
	struct instance_pipe *pipe = &instance->pipes[i];
	int fds[2], rc;

	pipe->instance = instance;
	pipe->is_stderr = i == 1;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(err, "making a pipe for a function's log");
	pipe->fd = fds[0];
	*ret_write_end = fds[1];
	if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0)
		return err_sys(err, "making a pipe non-blocking");
	rc = loop_watch_new(instance->loop, fds[0], instance_log_on_ready, pipe, &pipe->watch, err);
	if (rc < 0)
		return rc;
	loop_watch_want(pipe->watch, UV_READABLE);
	return 0;
}

int
instance_log_open(struct instance *instance, int ret_write_ends[2], struct err *err)
{
	int rc = instance_log_open_pipe(instance, 0, &ret_write_ends[0], err);

	return rc < 0 ? rc : instance_log_open_pipe(instance, 1, &ret_write_ends[1], err);
}

void
instance_log_close(struct instance *instance)
{
	for (int i = 0; i < 2; i++)
		instance_log_end_pipe(&instance->pipes[i]);
}
