/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/job.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "base/own.h"
#include "domain/pool.h"
#include "net/proxy.h"
#include "runtime/frame.h"

/* What a pipe of the sandbox gave so far. */
struct job_pipe {
	int fd;                   /* owned: our end, non-blocking */
	int theirs;               /* owned until the sandbox is gone */
	struct loop_watch *watch; /* owned */
	struct buf bytes;         /* owned */
	size_t keep;              /* bytes at most */
	bool is_tail;             /* the last of them are kept, not the first */
};

struct job {
	struct domain *domain;   /* borrowed */
	struct sandbox *sandbox; /* borrowed; NULL once it is gone */
	struct loop_timer timer;
	struct job_pipe answer, printed;
	int input;           /* owned: descriptor 3 of the sandbox */
	int channel;         /* owned: our end of it, where INIT was sent; -1 */
	char **hosts;        /* owned, NULL-terminated; NULL without */
	struct proxy *proxy; /* owned */
	bool is_over_deadline, is_stopped;
	void (*on_end)(const struct job_end *end, void *arg);
	void *arg; /* borrowed */
};

/* ---- pipes ---- */

static void
job_pipe_keep(struct job_pipe *pipe, const char *bytes, size_t n)
{
	if (!pipe->is_tail && n > pipe->keep - pipe->bytes.len)
		n = pipe->keep - pipe->bytes.len;
	buf_add(&pipe->bytes, bytes, n);
	if (pipe->bytes.len > pipe->keep)
		buf_eat(&pipe->bytes, pipe->bytes.len - pipe->keep);
}

/* At most a mebibyte in one turn: a program that prints without end has no more right to the loop
 * than others. Gives false at the end of what is there. */
static bool
job_pipe_read(struct job_pipe *pipe)
{
	char bytes[16384];
	ssize_t n = 0;

	for (unsigned i = 0; i < 64; i++) {
		n = read(pipe->fd, bytes, sizeof(bytes));
		if (n > 0)
			job_pipe_keep(pipe, bytes, (size_t)n);
		else if (n == 0 || errno != EINTR)
			return false;
	}
	return true;
}

static void
job_on_readable(struct loop_watch *watch, int events, void *arg)
{
	job_pipe_read(arg);
}

static int
job_pipe_open(struct job_pipe *pipe, struct loop *loop, struct err *err) ON_LOOP
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(err, "making a pipe");
	pipe->fd = fds[0];
	pipe->theirs = fds[1];
	if (fcntl(pipe->fd, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(err, "setting up a pipe");
	return loop_watch_new(loop, pipe->fd, job_on_readable, pipe, &pipe->watch, err);
}

static void
job_pipe_done(struct job_pipe *pipe) ON_LOOP
{
	if (pipe->watch)
		loop_watch_free(pipe->watch);
	own_fd(&pipe->fd);
	own_fd(&pipe->theirs);
	buf_done(&pipe->bytes);
}

/* ---- descriptor 3 ---- */

/* The frame fits into the socket: nobody reads it before the sandbox runs. */
static int
job_send_init(int fd, struct str init, struct err *err)
{
	struct frame_head head = {.size = (uint32_t)init.len, .kind = FRAME_INIT};
	OWN(buf) struct buf frame = BUF_INIT;

	buf_add(&frame, &head, sizeof(head));
	buf_add_str(&frame, init);
	if (send(fd, frame.at, frame.len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)frame.len)
		return err_sys(err, "sending its environment to a build");
	return 0;
}

static int
job_open_channel(struct job *job, struct str init, struct err *err)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return err_sys(err, "making a channel");
	job->channel = fds[0];
	job->input = fds[1];
	return job_send_init(job->channel, init, err);
}

/* ---- end ---- */

static void
job_free(struct loop_timer *timer)
{
	struct job *job = list_owner(timer, struct job, timer);

	thread_on_loop();
	if (job->proxy)
		proxy_free(job->proxy);
	job_pipe_done(&job->answer);
	job_pipe_done(&job->printed);
	own_fd(&job->input);
	own_fd(&job->channel);
	for (char **host = job->hosts; host && *host; host++)
		free(*host);
	free(job->hosts);
	free(job);
}

static void
job_on_gone(struct sandbox *sandbox, const struct sandbox_exit *exit, void *arg)
{
	struct job *job = arg;

	thread_on_loop();
	job->sandbox = NULL;
	while (job_pipe_read(&job->printed))
		;
	if (job->answer.fd >= 0)
		while (job_pipe_read(&job->answer))
			;
	struct job_end end = {
		.failure = exit->failure,
		.is_over_deadline = job->is_over_deadline,
		.is_stopped = job->is_stopped,
		.status = exit->status,
		.usage = exit->usage,
		.answer = buf_str(&job->answer.bytes),
		.printed = buf_str(&job->printed.bytes),
		.refused = job->proxy ? proxy_refused(job->proxy) : "",
	};

	job->domain->n_instances--;
	job->on_end(&end, job->arg);
	pool_room_freed(job->domain);
	loop_timer_close(&job->timer, job_free);
}

static void
job_on_deadline(struct loop_timer *timer)
{
	struct job *job = list_owner(timer, struct job, timer);

	thread_on_loop();
	if (!job->sandbox)
		return;
	job->is_over_deadline = true;
	spawner_stop(job->domain->spawner, job->sandbox);
}

/* ---- start ---- */

static void
job_on_started(struct sandbox *sandbox, const struct sandbox_started *started, void *arg)
{
	struct job *job = arg;
	int listener = started->listener;
	struct err err = {0};

	thread_on_loop();
	if (listener < 0)
		return;
	if (!job->hosts) {
		close(listener);
		return;
	}
	/* Without a proxy the work goes on and says itself what it cannot reach. */
	if (proxy_new(job->domain->loop, listener, (const char *const *)job->hosts, &job->proxy,
		    &err) < 0)
		buf_printf(&job->printed.bytes, "mayfly: no proxy: %s\n", err.text);
}

static char **
job_copy_hosts(const char *const *hosts)
{
	size_t n = 0;
	char **copy;

	if (!hosts)
		return NULL;
	while (hosts[n])
		n++;
	copy = mem_new((n + 1) * sizeof(*copy));
	for (size_t i = 0; i < n; i++)
		copy[i] = str_dup(str_of(hosts[i]));
	return copy;
}

static struct job *
job_new(struct domain *domain, const struct job_spec *spec)
{
	struct job *job = mem_new(sizeof(*job));

	job->domain = domain;
	job->answer = (struct job_pipe){.fd = -1, .theirs = -1, .keep = spec->answer_bytes};
	job->printed =
		(struct job_pipe){.fd = -1, .theirs = -1, .keep = JOB_PRINTED_MAX, .is_tail = true};
	job->input = spec->input;
	job->channel = -1;
	job->hosts = job_copy_hosts(spec->hosts);
	job->on_end = spec->on_end;
	job->arg = spec->arg;
	return job;
}

static int
job_open(struct job *job, const struct job_spec *spec, struct err *err) ON_LOOP
{
	int rc = job_pipe_open(&job->printed, job->domain->loop, err);

	if (rc >= 0 && spec->answer_bytes)
		rc = job_pipe_open(&job->answer, job->domain->loop, err);
	if (rc >= 0 && job->input < 0)
		rc = job_open_channel(job, spec->init, err);
	if (rc < 0)
		return rc;
	loop_watch_want(job->printed.watch, UV_READABLE);
	if (job->answer.watch)
		loop_watch_want(job->answer.watch, UV_READABLE);
	return 0;
}

static int
job_ask(struct job *job, const struct job_spec *spec, struct err *err) ON_LOOP
{
	struct sandbox_request request = {
		.kind = spec->kind,
		.root = spec->root,
		.limits = spec->limits,
		.channel = job->input,
		.stdout_fd = spec->answer_bytes ? job->answer.theirs : job->printed.theirs,
		.stderr_fd = job->printed.theirs,
		.output = spec->output,
		.on_started = job_on_started,
		.on_gone = job_on_gone,
		.arg = job,
	};

	snprintf(request.tree, sizeof(request.tree), "%s", spec->tree);
	snprintf(request.deps, sizeof(request.deps), "%s", spec->deps ? spec->deps : "");
	return spawner_ask(job->domain->spawner, &request, &job->sandbox, err);
}

int
job_start(struct domain *domain, const struct job_spec *spec, struct job **ret, struct err *err)
{
	struct job *job = job_new(domain, spec);
	int rc = job_open(job, spec, err);

	if (rc >= 0 && !spec->root)
		rc = err_set(err, ERR_UNAVAILABLE, "its runtime could not be prepared");
	if (rc >= 0)
		rc = job_ask(job, spec, err);
	if (rc < 0) {
		loop_timer_close(&job->timer, job_free);
		return rc;
	}
	domain->n_instances++;
	loop_timer_start(domain->loop, &job->timer, spec->deadline_ms, job_on_deadline);
	*ret = job;
	return 0;
}

void
job_stop(struct job *job)
{
	if (!job->sandbox)
		return;
	job->is_stopped = true;
	spawner_stop(job->domain->spawner, job->sandbox);
}
