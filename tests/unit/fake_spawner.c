/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"

/* ---- spawner.h ---- */

static int
fake_dup(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	must(copy >= 0);
	must(fcntl(copy, F_SETFL, fcntl(copy, F_GETFL) | O_NONBLOCK) == 0);
	return copy;
}

int
spawner_ask(struct spawner *spawner, const struct sandbox_request *request, struct sandbox **ret,
	struct err *err)
{
	struct sandbox *sandbox;

	if (spawner->refuses < 0)
		return err_set(err, spawner->refuses, "the spawner refuses");
	sandbox = mem_new(sizeof(*sandbox));
	sandbox->request = *request;
	sandbox->channel = fake_dup(request->channel);
	sandbox->out = fake_dup(request->stdout_fd);
	sandbox->error = fake_dup(request->stderr_fd);
	sandbox->keeper = -1;
	sandbox->usage.memory_peak_bytes = 30 << 20;
	sandbox->has_keeper = request->wants_keeper && spawner->has_keepers;
	list_push_back(&spawner->all, &sandbox->link);
	spawner->n_asked++;
	*ret = sandbox;
	return 0;
}

void
spawner_stop(struct spawner *spawner, struct sandbox *sandbox)
{
	sandbox->was_asked = true;
}

void
sandbox_usage(struct sandbox *sandbox, struct sandbox_usage *ret)
{
	*ret = sandbox->usage;
}

uint64_t
sandbox_cpu_us(struct sandbox *sandbox)
{
	return sandbox->usage.cpu_us;
}

uint64_t
sandbox_peak_bytes(struct sandbox *sandbox)
{
	return sandbox->usage.memory_peak_bytes;
}

void
sandbox_reset_peak(struct sandbox *sandbox)
{
	sandbox->n_peak_resets++;
}

bool
spawner_has_tree(const struct spawner *spawner, const char tree[static ID_SHA256_SIZE])
{
	return true;
}

void
spawner_remove_tree(struct spawner *spawner, const char tree[static ID_SHA256_SIZE],
	void (*done)(int code, void *arg), void *arg)
{
	if (done)
		done(0, arg);
}

/* ---- the test's side ---- */

struct spawner *
fake_spawner_new(void)
{
	struct spawner *spawner = mem_new(sizeof(*spawner));

	list_init(&spawner->all);
	return spawner;
}

void
fake_spawner_free(struct spawner *spawner)
{
	struct sandbox *sandbox;

	while ((sandbox = list_first(&spawner->all, struct sandbox, link)))
		fake_gone(sandbox, -9);
	free(spawner);
}

struct sandbox *
fake_last(struct spawner *spawner)
{
	struct sandbox *sandbox = list_last(&spawner->all, struct sandbox, link);

	must(sandbox);
	return sandbox;
}

void
fake_started(struct sandbox *sandbox)
{
	struct sandbox_started started = SANDBOX_STARTED_PLAIN;
	int fds[2];

	thread_on_loop();
	sandbox->is_started = true;
	if (sandbox->has_keeper) {
		must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) ==
			0);
		sandbox->keeper = fds[0];
		started.keeper = fds[1];
	}
	sandbox->request.on_started(sandbox, &started, sandbox->request.arg);
}

static void
fake_close(struct sandbox *sandbox)
{
	own_fd(&sandbox->channel);
	own_fd(&sandbox->out);
	own_fd(&sandbox->error);
	own_fd(&sandbox->keeper);
	sandbox->keeper = -1;
	sandbox->channel = sandbox->out = sandbox->error = -1;
}

void
fake_gone(struct sandbox *sandbox, int status)
{
	struct sandbox_exit exit = {.status = status};

	thread_on_loop();
	exit.was_asked = sandbox->was_asked;
	exit.usage = sandbox->usage;
	fake_close(sandbox);
	list_remove(&sandbox->link);
	sandbox->request.on_gone(sandbox, &exit, sandbox->request.arg);
	buf_done(&sandbox->in);
	free(sandbox);
}

static void
fake_write(int fd, struct str bytes)
{
	while (bytes.len > 0) {
		ssize_t n = write(fd, bytes.at, bytes.len);

		if (n < 0)
			return;
		bytes.at += n;
		bytes.len -= (size_t)n;
	}
}

void
fake_send(struct sandbox *sandbox, enum frame_kind kind, uint8_t flags, uint64_t call,
	struct str payload)
{
	struct frame_head head = {
		.size = (uint32_t)payload.len, .kind = kind, .flags = flags, .call = call};
	OWN(buf) struct buf bytes = BUF_INIT;

	buf_add(&bytes, &head, sizeof(head));
	buf_add_str(&bytes, payload);
	fake_write(sandbox->channel, buf_str(&bytes));
}

void
fake_answer(struct sandbox *sandbox, uint64_t call, const char *head, struct str body)
{
	OWN(buf) struct buf payload = BUF_INIT;
	uint32_t head_size = (uint32_t)strlen(head);

	buf_add(&payload, &head_size, sizeof(head_size));
	buf_add_text(&payload, head);
	buf_add_str(&payload, body);
	fake_send(sandbox, FRAME_ANSWER, 0, call, buf_str(&payload));
}

void
fake_print(struct sandbox *sandbox, bool is_stderr, const char *text)
{
	fake_write(is_stderr ? sandbox->error : sandbox->out, str_of(text));
}

static void
fake_read(struct sandbox *sandbox)
{
	for (;;) {
		ssize_t n = read(sandbox->channel, buf_room(&sandbox->in, 65536), 65536);

		if (n <= 0)
			return;
		buf_grew(&sandbox->in, (size_t)n);
	}
}

bool
fake_receive(struct sandbox *sandbox, struct frame_head *ret_head, struct buf *ret)
{
	size_t head_size = sizeof(*ret_head);

	fake_read(sandbox);
	if (sandbox->in.len < head_size)
		return false;
	memcpy(ret_head, sandbox->in.at, head_size);
	if (sandbox->in.len < head_size + ret_head->size)
		return false;
	buf_add(ret, sandbox->in.at + head_size, ret_head->size);
	buf_eat(&sandbox->in, head_size + ret_head->size);
	sandbox->n_frames[ret_head->kind]++;
	return true;
}

/* ---- the keeper ---- */

bool
fake_keeper_receive(struct sandbox *sandbox, struct keeper_request *ret)
{
	ssize_t n = sandbox->keeper < 0
			    ? -1
			    : recv(sandbox->keeper, ret, sizeof(*ret), MSG_DONTWAIT | MSG_TRUNC);

	if (n <= 0)
		return false;
	must(n == sizeof(*ret) && ret->magic == KEEPER_MAGIC && ret->zero == 0);
	return true;
}

void
fake_keeper_send(struct sandbox *sandbox, struct str bytes)
{
	must(send(sandbox->keeper, bytes.at, bytes.len, MSG_NOSIGNAL) == (ssize_t)bytes.len);
}

void
fake_keeper_answer(struct sandbox *sandbox, enum keeper_event event, enum keeper_cause cause)
{
	struct keeper_reply reply = {.magic = KEEPER_MAGIC, .event = event, .cause = cause};

	if (cause != KEEPER_CAUSE_NONE)
		memcpy(reply.text, "played", 7);
	fake_keeper_send(sandbox, str_n(&reply, sizeof(reply)));
}

void
fake_keeper_end(struct sandbox *sandbox)
{
	own_fd(&sandbox->keeper);
	sandbox->keeper = -1;
}

/* ---- acting ---- */

static void
fake_boot(struct sandbox *sandbox, enum fake_behaviour behaviour)
{
	sandbox->is_loaded = true;
	if (behaviour == FAKE_FAILS_TO_LOAD)
		fake_send(sandbox, FRAME_FAIL, 0, 0, str_n("SyntaxError\0bad\0line 1\n", 23));
	else if (behaviour != FAKE_HANGS_IN_BOOT)
		fake_send(sandbox, FRAME_READY, 0, 0, STR_NONE);
}

static void
fake_flood(struct sandbox *sandbox)
{
	char line[4096];

	memset(line, 'x', sizeof(line) - 2);
	line[sizeof(line) - 2] = '\n';
	line[sizeof(line) - 1] = '\0';
	fake_print(sandbox, false, line);
}

static void
fake_act(struct sandbox *sandbox, enum fake_behaviour behaviour, uint64_t call, struct str payload)
{
	struct frame_call frame;
	struct str body;

	memcpy(&frame, payload.at, sizeof(frame));
	body = str_n(payload.at + sizeof(frame) + frame.head_size,
		payload.len - sizeof(frame) - frame.head_size);
	sandbox->usage.cpu_us += 100;
	sandbox->held_call = call;
	if (behaviour == FAKE_ANSWERS) {
		fake_print(sandbox, false, "hello\n");
		fake_answer(sandbox, call, "200\n", body);
	} else if (behaviour == FAKE_ERRS) {
		fake_send(sandbox, FRAME_ERROR, 0, call, str_n("TypeError\0no\0at here\n", 21));
	} else if (behaviour == FAKE_STREAMS) {
		fake_send(sandbox, FRAME_ANSWER_HEAD, 0, call, STR("200\n"));
		fake_send(sandbox, FRAME_ANSWER_BODY, 0, call, STR("part"));
	}
	if (behaviour == FAKE_ANSWERS || behaviour == FAKE_ERRS)
		sandbox->held_call = 0;
}

/* Gives whether it was asked for something. */
static bool
fake_keep(const struct spawner *spawner, struct sandbox *sandbox)
{
	struct keeper_reply reply = {.magic = KEEPER_MAGIC};
	struct keeper_request request;

	if (sandbox->n_kept > 0 && spawner->is_renewal_held)
		return false;
	if (!fake_keeper_receive(sandbox, &request))
		return false;
	must(request.op == (sandbox->n_kept > 0 ? KEEPER_RENEW : KEEPER_KEEP));
	reply.event = sandbox->n_kept > 0 ? KEEPER_RENEWED : KEEPER_KEPT;
	if (spawner->is_spoiling && reply.event == KEEPER_RENEWED) {
		reply.event = KEEPER_SPOILT;
		reply.cause = KEEPER_CAUSE_DESCRIPTORS;
	}
	sandbox->n_kept++;
	must(send(sandbox->keeper, &reply, sizeof(reply), MSG_NOSIGNAL) == sizeof(reply));
	return true;
}

static bool
fake_play_one(struct spawner *spawner, struct sandbox *sandbox)
{
	enum fake_behaviour behaviour = spawner->behaviour;
	OWN(buf) struct buf payload = BUF_INIT;
	struct frame_head head;

	if (sandbox->was_asked && spawner->is_death_held)
		return false;
	if (sandbox->was_asked) {
		fake_gone(sandbox, -9);
		return true;
	}
	if (!sandbox->is_started)
		fake_started(sandbox);
	if (sandbox->held_call && behaviour == FAKE_EXITS) {
		fake_gone(sandbox, 3);
		return true;
	}
	if (sandbox->held_call && behaviour == FAKE_FLOODS)
		fake_flood(sandbox);
	if (fake_keep(spawner, sandbox))
		return true;
	if (!fake_receive(sandbox, &head, &payload))
		return false;
	if (head.kind == FRAME_INIT)
		fake_boot(sandbox, behaviour);
	else if (head.kind == FRAME_CALL)
		fake_act(sandbox, behaviour, head.call, buf_str(&payload));
	return true;
}

bool
fake_play(struct spawner *spawner)
{
	struct list seen;
	struct sandbox *sandbox;
	bool is_busy = false;

	if (spawner->behaviour == FAKE_BY_HAND)
		return false;
	list_init(&seen);
	while ((sandbox = list_first(&spawner->all, struct sandbox, link))) {
		list_remove(&sandbox->link);
		list_push_back(&seen, &sandbox->link);
		is_busy |= fake_play_one(spawner, sandbox);
	}
	while ((sandbox = list_first(&seen, struct sandbox, link))) {
		list_remove(&sandbox->link);
		list_push_back(&spawner->all, &sandbox->link);
	}
	return is_busy;
}
