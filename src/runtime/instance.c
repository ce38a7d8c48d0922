/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/instance.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/own.h"
#include "runtime/instance_inside.h"

/* ---- the questions ---- */

enum instance_state
instance_state(const struct instance *instance)
{
	return instance->state;
}

unsigned
instance_n_calls(const struct instance *instance)
{
	return instance->concurrency - instance->n_free;
}

bool
instance_has_room(const struct instance *instance)
{
	return instance->state == INSTANCE_READY && !instance->is_retired && instance->n_free > 0;
}

uint64_t
instance_n_served(const struct instance *instance)
{
	return instance->n_served;
}

enum mechanism
instance_mechanism(const struct instance *instance)
{
	return instance->mechanism;
}

bool
instance_is_forked(const struct instance *instance)
{
	return instance->is_forked;
}

/* ---- ending ---- */

void
instance_end(struct instance *instance, const struct err *reason)
{
	if (instance->state == INSTANCE_GONE || instance->reason.code < 0 || instance->was_asked)
		return;
	instance->state = INSTANCE_ENDING;
	instance->reason = *reason;
	loop_timer_stop(&instance->timer);
	spawner_stop(instance->spawner, instance->sandbox);
}

void
instance_stop(struct instance *instance)
{
	if (instance->state == INSTANCE_GONE || instance->was_asked || instance->reason.code < 0)
		return;
	instance->state = INSTANCE_ENDING;
	instance->was_asked = true;
	loop_timer_stop(&instance->timer);
	spawner_stop(instance->spawner, instance->sandbox);
}

void
instance_end_if_over(struct instance *instance)
{
	if (instance->is_retired && list_is_empty(&instance->calls))
		instance_stop(instance);
}

void
instance_retire(struct instance *instance)
{
	instance->is_retired = true;
	instance_end_if_over(instance);
}

static void
instance_describe_status(const struct instance *instance, int status, struct err *ret)
{
	const char *when = instance->is_loaded ? "" : " while it loaded";

	if (status >= 0)
		err_set(ret, ERR_FUNCTION_EXITED, "the function exited with status %d%s", status,
			when);
	else
		err_set(ret, ERR_FUNCTION_EXITED, "the function was killed by signal %d (SIG%s)%s",
			-status, sigabbrev_np(-status) ? sigabbrev_np(-status) : "?", when);
}

/* Why it is gone: what was found before its death, else how it died. code 0 when it was asked to.
 */
static void
instance_find_reason(
	const struct instance *instance, const struct sandbox_exit *exit, struct err *ret)
{
	*ret = instance->reason;
	if (exit->failure.code < 0) {
		*ret = exit->failure;
		if (!instance->is_started)
			err_wrap(ret, ret->code, "starting the sandbox");
	} else if (exit->usage.n_oom_kills > instance->n_oom_kills && !instance->was_asked &&
		   ret->code != ERR_LOG_EXCEEDED) {
		err_set(ret, ERR_MEMORY_EXCEEDED,
			"the function used more than its %llu MiB of memory",
			(unsigned long long)(instance->memory_bytes >> 20));
	} else if (ret->code == 0 && !instance->was_asked) {
		instance_describe_status(instance, exit->status, ret);
	}
}

static void ON_LOOP
instance_fail_calls(struct instance *instance, const struct err *reason)
{
	struct err stopped = {0};

	err_set(&stopped, ERR_UNAVAILABLE, "the instance was stopped");
	while (!list_is_empty(&instance->calls)) {
		struct instance_call *call =
			list_first(&instance->calls, struct instance_call, link);

		instance_call_fail(
			call, reason->code < 0 ? reason : &stopped, buf_str(&instance->trace));
	}
}

static void
instance_on_timer_closed(struct loop_timer *timer)
{
	free(list_owner(timer, struct instance, timer));
}

static void ON_LOOP
instance_free(struct instance *instance)
{
	channel_close(&instance->channel);
	instance_keeper_teardown(instance);
	instance_egress_teardown(instance);
	instance_log_close(instance);
	instance_call_teardown(instance);
	buf_done(&instance->trace);
	buf_done(&instance->boot_log);
	loop_timer_close(&instance->timer, instance_on_timer_closed);
}

/* What it sent and printed before its death may still stand in the socket and the pipes. */
static void
instance_on_gone(struct sandbox *sandbox, const struct sandbox_exit *exit, void *arg)
{
	struct instance *instance = arg;
	struct err reason = {0};

	thread_on_loop();
	instance->final = &exit->usage;
	channel_drain(&instance->channel);
	instance_log_drain(instance);
	instance_find_reason(instance, exit, &reason);
	instance_keeper_on_gone(instance);
	instance->state = INSTANCE_GONE;
	instance->is_retired = true;
	instance_call_measure_due(instance);
	instance_fail_calls(instance, &reason);
	instance_call_measure_due(instance);
	if (instance->trace.len > 0 && !instance->is_loaded)
		buf_add_str(&instance->boot_log, buf_str(&instance->trace));
	instance->events.on_gone(
		instance, &reason, buf_str(&instance->boot_log), instance->events.arg);
	instance_free(instance);
}

/* ---- booting ---- */

void
instance_be_kept(struct instance *instance)
{
	if (instance->state != INSTANCE_STARTING)
		return;
	loop_timer_stop(&instance->timer);
	instance->state = INSTANCE_READY;
	instance->is_peak_high = true;
	instance_call_measure_anew(instance);
	instance->cpu_read_ms = 0; /* what loading still uses is not the first call's */
	instance->events.on_ready(instance, instance->events.arg);
}

static void ON_LOOP
instance_be_ready(struct instance *instance)
{
	if (!instance->is_started || !instance->is_loaded || instance->state != INSTANCE_STARTING)
		return;
	instance_egress_end_loading(instance);
	if (!instance_keeper_keep(instance))
		instance_be_kept(instance);
}

static void
instance_on_started(struct sandbox *sandbox, const struct sandbox_started *started, void *arg)
{
	struct instance *instance = arg;
	struct err err = {0};

	thread_on_loop();
	must(started->listener < 0);
	instance->is_started = true;
	instance->is_forked = started->is_forked;
	if (instance_keeper_take(instance, started->keeper, &err) < 0)
		instance_end(instance, &err);
	if (instance_egress_take(instance, started, &err) < 0)
		instance_end(instance, &err);
	instance_be_ready(instance);
}

static void
instance_on_boot_deadline(struct loop_timer *timer)
{
	struct instance *instance = list_owner(timer, struct instance, timer);
	struct err err = {0};

	thread_on_loop();
	if (instance_keeper_on_boot_deadline(instance))
		return;
	err_set(&err, ERR_TIMEOUT, "the function was not loaded within %u ms", instance->boot_ms);
	instance_end(instance, &err);
}

/* ---- frames ---- */

struct str
instance_read_failure(struct str payload, struct err *ret, struct str *ret_type)
{
	struct str type = str_cut(&payload, '\0'), message = str_cut(&payload, '\0');
	int type_len = type.len < 80 ? (int)type.len : 80;
	int message_len =
		message.len < sizeof(ret->text) ? (int)message.len : (int)sizeof(ret->text);

	if (message_len == 0)
		err_set(ret, ERR_FUNCTION, "%.*s", type_len, type.at);
	else if (type_len == 0)
		err_set(ret, ERR_FUNCTION, "%.*s", message_len, message.at);
	else
		err_set(ret, ERR_FUNCTION, "%.*s: %.*s", type_len, type.at, message_len,
			message.at);
	*ret_type = type;
	return payload;
}

static void ON_LOOP
instance_on_ready_frame(struct instance *instance)
{
	struct err err = {0};

	if (instance->is_loaded) {
		err_set(&err, ERR_ANSWER_INVALID, "the runtime said twice that it is ready");
		instance_end(instance, &err);
		return;
	}
	instance_log_drain(instance);
	instance->is_loaded = true;
	instance_be_ready(instance);
}

/* Before READY: the handler could not be loaded. After it: the runtime cannot go on, and what it
 * says is the reason for every call in flight. */
static void ON_LOOP
instance_on_fail_frame(struct instance *instance, const struct channel_frame *frame)
{
	struct err err = {0};
	struct str type, trace;

	trace = instance_read_failure(str_n(frame->at, frame->len), &err, &type);
	if (!instance->is_loaded)
		err.code = ERR_FUNCTION_FAILED;
	if (instance->reason.code == 0 && !instance->was_asked)
		buf_add_str(&instance->trace, trace);
	instance_end(instance, &err);
}

static void ON_LOOP
instance_on_frame(struct channel *channel, const struct channel_frame *frame)
{
	struct instance *instance = list_owner(channel, struct instance, channel);
	struct err err = {0};

	if (instance->reason.code < 0 || instance_keeper_drops(instance, frame))
		return;
	if (frame->head.kind == FRAME_READY) {
		instance_on_ready_frame(instance);
	} else if (frame->head.kind == FRAME_FAIL) {
		instance_on_fail_frame(instance, frame);
	} else if (frame->head.kind == FRAME_LOG && frame->head.call == 0) {
		if (!instance->is_loaded)
			instance_log_boot(instance, str_n(frame->at, frame->len));
	} else if (instance->state == INSTANCE_STARTING) {
		err_set(&err, ERR_ANSWER_INVALID,
			"the runtime sent a frame of kind %u before it was ready",
			frame->head.kind);
		instance_end(instance, &err);
	} else {
		instance_call_on_frame(instance, frame);
	}
}

static void
instance_on_exit_deadline(struct loop_timer *timer)
{
	struct instance *instance = list_owner(timer, struct instance, timer);
	struct err err = {0};

	thread_on_loop();
	err_set(&err, ERR_FUNCTION_EXITED, "the function closed its channel to mayfly");
	if (instance_keeper_is_between(instance))
		instance_discard(instance, RENEWAL_CAUSE_CHANNEL);
	else
		instance_end(instance, &err);
}

/* The channel closes a moment before the spawner tells how the process died, which is the reason
 * that its calls are to learn. */
static void ON_LOOP
instance_on_channel_end(struct channel *channel, const struct err *reason)
{
	struct instance *instance = list_owner(channel, struct instance, channel);

	if (reason->code < 0 && instance->state == INSTANCE_RENEWING) {
		instance_discard(instance, RENEWAL_CAUSE_CHANNEL);
	} else if (reason->code < 0) {
		instance_end(instance, reason);
	} else if (instance->state != INSTANCE_GONE && !instance->was_asked &&
		   instance->reason.code == 0) {
		instance->state = INSTANCE_ENDING;
		loop_timer_start(instance->loop, &instance->timer, INSTANCE_EXIT_MS,
			instance_on_exit_deadline);
	}
}

static const struct channel_events instance_channel_events = {
	.on_frame = instance_on_frame,
	.on_end = instance_on_channel_end,
};

/* ---- start ---- */

static struct instance *ON_LOOP
instance_new(struct loop *loop, struct spawner *spawner, const struct instance_spec *spec,
	const struct instance_events *events)
{
	struct instance *instance = mem_new(sizeof(*instance));

	instance->loop = loop;
	instance->spawner = spawner;
	instance->events = *events;
	instance->boot_ms = spec->boot_ms;
	instance->memory_bytes = spec->limits.memory_bytes;
	instance->answer_bytes = spec->answer_bytes;
	instance->log_bytes = spec->log_bytes;
	instance->pipes[0].fd = instance->pipes[1].fd = instance->channel.fd = -1;
	list_init(&instance->channel.flush.link);
	instance_keeper_setup(instance, spec);
	instance_egress_setup(instance, spec->network);
	instance_call_setup(instance, spec->concurrency);
	return instance;
}

/* Gives the function's end of the channel. */
static int ON_LOOP
instance_open_channel(struct instance *instance, int *ret_fd, struct err *err)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return err_sys(err, "making the channel to a function");
	*ret_fd = fds[1];
	if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0) {
		int rc = err_sys(err, "making a channel non-blocking");

		close(fds[0]);
		return rc;
	}
	return channel_open(
		&instance->channel, instance->loop, fds[0], &instance_channel_events, err);
}

static int ON_LOOP
instance_ask(struct instance *instance, const struct instance_spec *spec, int channel,
	const int logs[2], struct err *err)
{
	struct sandbox_request request = {
		.kind = SANDBOX_INSTANCE,
		.root = spec->root,
		.limits = spec->limits,
		.channel = channel,
		.stdout_fd = logs[0],
		.stderr_fd = logs[1],
		.output = -1,
		.wants_template = spec->wants_template,
		.wants_keeper =
			spec->mechanism == MECHANISM_ROLLBACK || spec->mechanism == MECHANISM_FORK,
		.on_started = instance_on_started,
		.on_gone = instance_on_gone,
		.arg = instance,
	};

	if (spec->network) {
		request.has_egress = true;
		request.n_egress_ports = spec->network->n_ports;
		memcpy(request.egress_ports, spec->network->ports, sizeof(request.egress_ports));
	}
	memcpy(request.tree, spec->tree, sizeof(request.tree));
	memcpy(request.deps, spec->deps, sizeof(request.deps));
	return spawner_ask(instance->spawner, &request, &instance->sandbox, err);
}

int
instance_start(struct loop *loop, struct spawner *spawner, const struct instance_spec *spec,
	const struct instance_events *events, struct instance **ret, struct err *err)
{
	struct instance *instance = instance_new(loop, spawner, spec, events);
	OWN(fd) int channel = -1;
	OWN(fd) int out = -1;
	OWN(fd) int error = -1;
	int logs[2] = {-1, -1};
	int rc = instance_open_channel(instance, &channel, err);

	if (rc == 0)
		rc = instance_log_open(instance, logs, err);
	out = logs[0];
	error = logs[1];
	if (rc == 0)
		rc = instance_ask(instance, spec, channel, logs, err);
	if (rc < 0) {
		instance_free(instance);
		return rc;
	}
	channel_send(&instance->channel, FRAME_INIT, 0, &spec->init, 1);
	loop_timer_start(loop, &instance->timer, spec->boot_ms, instance_on_boot_deadline);
	*ret = instance;
	return 0;
}
