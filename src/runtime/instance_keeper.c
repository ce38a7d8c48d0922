/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/own.h"
#include "runtime/instance_inside.h"

enum {
	/* Bringing an instance back takes less than a millisecond as a rule, and a whole sandbox
	 * is born in a few: who needs longer than this is given up. */
	INSTANCE_RENEW_MS = 5000,
	INSTANCE_CAUSE_TEXT = 160,
};

/* ---- the end of an instance that is not fit for another call ---- */

static void ON_LOOP
instance_keeper_discard(struct instance *instance, enum renewal_cause cause, const char *why)
{
	bool is_news = instance->state < INSTANCE_ENDING;

	if (instance->state == INSTANCE_GONE || instance->was_asked || instance->reason.code < 0)
		return;
	if (!instance->is_counted)
		renewal_count_discard(instance->tally, cause, why);
	instance->is_counted = true;
	instance_stop(instance);
	if (is_news)
		instance->events.on_discarded(instance, instance->events.arg);
}

void
instance_discard(struct instance *instance, enum renewal_cause cause)
{
	instance_keeper_discard(instance, cause, "");
}

/* Ends by itself, with its own reason: counted all the same. */
void
instance_keeper_on_gone(struct instance *instance)
{
	bool had_call = !list_is_empty(&instance->calls);

	if (instance->mechanism == MECHANISM_NONE || instance->was_asked || instance->is_counted ||
		(!had_call && instance->n_served == 0))
		return;
	instance->is_counted = true;
	renewal_count_discard(
		instance->tally, had_call ? RENEWAL_CAUSE_CALL : RENEWAL_CAUSE_GONE, "");
}

static void ON_LOOP
instance_keeper_close(struct instance *instance)
{
	loop_watch_free(take_ptr(&instance->keeper_watch));
	if (instance->keeper >= 0)
		close(take_fd(&instance->keeper));
}

void
instance_keeper_teardown(struct instance *instance)
{
	list_remove(&instance->after_call.link);
	instance_keeper_close(instance);
	renewal_tally_release(take_ptr(&instance->tally));
}

/* ---- keep ---- */

/* It goes on without a keeper, for one call. */
static void ON_LOOP
instance_keeper_unable(struct instance *instance, enum renewal_cause cause, const char *why)
{
	enum mechanism tried = instance->mechanism;

	instance->mechanism = MECHANISM_ONCE;
	instance->keeper_wait = INSTANCE_KEEPER_IDLE;
	instance_keeper_close(instance);
	instance->events.on_unable(instance, tried, cause, why, instance->events.arg);
}

/* What a keeper that died or talks nonsense left of the program nobody knows. */
static void ON_LOOP
instance_keeper_fail_to_keep(struct instance *instance, enum renewal_cause cause, const char *why)
{
	instance_keeper_unable(instance, cause, why);
	instance_discard(instance, cause);
}

static bool ON_LOOP
instance_keeper_send(struct instance *instance, enum keeper_op op)
{
	struct keeper_request request = {
		.magic = KEEPER_MAGIC,
		.op = op,
		.mechanism = instance->mechanism == MECHANISM_FORK ? KEEPER_FORK : KEEPER_ROLLBACK,
	};

	return send(instance->keeper, &request, sizeof(request), MSG_NOSIGNAL | MSG_DONTWAIT) ==
	       sizeof(request);
}

bool
instance_keeper_keep(struct instance *instance)
{
	if (instance->mechanism != MECHANISM_ROLLBACK && instance->mechanism != MECHANISM_FORK)
		return false;
	if (instance->keeper < 0) {
		instance_keeper_unable(instance, RENEWAL_CAUSE_NONE, "mayfly-keeper is not there");
		return false;
	}
	instance->keeper_wait = INSTANCE_KEEPER_KEEPS;
	if (!instance_keeper_send(instance, KEEPER_KEEP))
		instance_keeper_fail_to_keep(instance, RENEWAL_CAUSE_LOST, "mayfly-keeper ended");
	return true;
}

bool
instance_keeper_on_boot_deadline(struct instance *instance)
{
	if (instance->keeper_wait != INSTANCE_KEEPER_KEEPS)
		return false;
	instance_keeper_fail_to_keep(
		instance, RENEWAL_CAUSE_SILENT, "mayfly-keeper did not answer in time");
	return true;
}

static void ON_LOOP
instance_keeper_on_kept(struct instance *instance, const struct keeper_reply *reply)
{
	char why[INSTANCE_CAUSE_TEXT];

	instance->keeper_wait = INSTANCE_KEEPER_IDLE;
	if (reply->event == KEEPER_UNABLE) {
		snprintf(why, sizeof(why), "%s%s%.120s", keeper_cause_word(reply->cause),
			reply->text[0] ? ": " : "", reply->text);
		instance_keeper_unable(instance, (enum renewal_cause)reply->cause, why);
	}
	instance_be_kept(instance);
}

/* ---- renew ---- */

/* What a call that is over left in the pipes and on the channel belongs to nobody. One question
 * tells that nothing is there, as a rule. */
static void ON_LOOP
instance_keeper_drop_leftovers(struct instance *instance)
{
	struct pollfd fds[] = {{.fd = instance->channel.fd, .events = POLLIN},
		{.fd = instance->pipes[0].fd, .events = POLLIN},
		{.fd = instance->pipes[1].fd, .events = POLLIN}};

	if (poll(fds, 3, 0) <= 0)
		return;
	instance_log_drain(instance);
	channel_drain(&instance->channel);
}

static void ON_LOOP
instance_keeper_on_renewed(struct instance *instance)
{
	loop_timer_stop(&instance->timer);
	instance->keeper_wait = INSTANCE_KEEPER_IDLE;
	instance_keeper_drop_leftovers(instance);
	if (instance->state != INSTANCE_RENEWING)
		return;
	if (!channel_is_at_rest(&instance->channel)) {
		instance_discard(instance, RENEWAL_CAUSE_CHANNEL);
		return;
	}
	instance_call_measure_anew(instance);
	renewal_count(instance->tally, clock_mono_us() - instance->renew_us);
	instance->state = INSTANCE_READY;
	instance->events.on_room(instance, instance->events.arg);
}

static void
instance_keeper_on_renew_deadline(struct loop_timer *timer)
{
	struct instance *instance = list_owner(timer, struct instance, timer);

	thread_on_loop();
	instance_discard(instance, RENEWAL_CAUSE_SILENT);
}

static void ON_LOOP
instance_keeper_renew(struct instance *instance)
{
	if (instance->is_keeper_lost) {
		instance_discard(instance, RENEWAL_CAUSE_LOST);
	} else if (!channel_is_at_rest(&instance->channel)) {
		instance_discard(instance, RENEWAL_CAUSE_CHANNEL);
	} else if (!instance_keeper_send(instance, KEEPER_RENEW)) {
		instance_discard(instance, RENEWAL_CAUSE_LOST);
	} else {
		instance->keeper_wait = INSTANCE_KEEPER_RENEWS;
		instance->renew_us = clock_mono_us();
		loop_timer_start(instance->loop, &instance->timer, INSTANCE_RENEW_MS,
			instance_keeper_on_renew_deadline);
	}
}

/* The answers of this turn are out. */
static void
instance_keeper_after_call(struct loop_flush *after_call)
{
	struct instance *instance = list_owner(after_call, struct instance, after_call);

	thread_on_loop();
	instance_call_measure_due(instance);
	if (instance->mechanism == MECHANISM_ONCE)
		instance_discard(instance, RENEWAL_CAUSE_ONCE);
	else if (instance->state == INSTANCE_RENEWING)
		instance_keeper_renew(instance);
}

bool
instance_keeper_is_between(const struct instance *instance)
{
	return instance->mechanism != MECHANISM_NONE && instance->n_served > 0 &&
	       list_is_empty(&instance->calls);
}

bool
instance_keeper_drops(struct instance *instance, const struct channel_frame *frame)
{
	if (!instance_keeper_is_between(instance))
		return false;
	if (frame->head.kind == FRAME_READY || frame->head.kind == FRAME_FAIL ||
		frame->head.call >> INSTANCE_SLOT_BITS > instance->generation)
		instance_discard(instance, RENEWAL_CAUSE_CHANNEL);
	return true;
}

void
instance_keeper_end_call(struct instance *instance)
{
	if (instance->mechanism == MECHANISM_NONE || instance->state != INSTANCE_READY)
		return;
	instance->state =
		instance->mechanism == MECHANISM_ONCE ? INSTANCE_ENDING : INSTANCE_RENEWING;
}

void
instance_keeper_renew_soon(struct instance *instance)
{
	if (instance->mechanism != MECHANISM_NONE && instance->state != INSTANCE_GONE)
		loop_flush_soon(instance->loop, &instance->after_call);
}

/* ---- what the keeper says ---- */

/* A call in flight goes on to its end. */
static void ON_LOOP
instance_keeper_lose(struct instance *instance, enum renewal_cause cause, const char *why)
{
	loop_watch_want(instance->keeper_watch, 0);
	instance->is_keeper_lost = true;
	if (instance->keeper_wait == INSTANCE_KEEPER_KEEPS)
		instance_keeper_fail_to_keep(instance, cause, why);
	else if (list_is_empty(&instance->calls) && instance->state != INSTANCE_STARTING)
		instance_discard(instance, cause);
}

static bool
instance_keeper_is_expected(const struct instance *instance, const struct keeper_reply *reply)
{
	bool is_fine = reply->event == KEEPER_KEPT || reply->event == KEEPER_RENEWED;

	if (reply->magic != KEEPER_MAGIC || reply->cause >= KEEPER_CAUSES ||
		is_fine != (reply->cause == KEEPER_CAUSE_NONE) ||
		!memchr(reply->text, '\0', sizeof(reply->text)) ||
		!str_is_utf8(str_of(reply->text)))
		return false;
	if (instance->keeper_wait == INSTANCE_KEEPER_KEEPS)
		return reply->event == KEEPER_KEPT || reply->event == KEEPER_UNABLE;
	return instance->keeper_wait == INSTANCE_KEEPER_RENEWS &&
	       (reply->event == KEEPER_RENEWED || reply->event == KEEPER_SPOILT);
}

static void
instance_keeper_on_readable(struct loop_watch *watch, int events, void *arg)
{
	struct instance *instance = arg;
	struct keeper_reply reply;
	ssize_t n;

	thread_on_loop();
	if (instance->state >= INSTANCE_ENDING) {
		loop_watch_want(watch, 0);
		return;
	}
	n = recv(instance->keeper, &reply, sizeof(reply), MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		instance_keeper_lose(instance, RENEWAL_CAUSE_LOST, "mayfly-keeper ended");
	else if (n != sizeof(reply) || !instance_keeper_is_expected(instance, &reply))
		instance_keeper_lose(
			instance, RENEWAL_CAUSE_SILENT, "mayfly-keeper answered nonsense");
	else if (instance->keeper_wait == INSTANCE_KEEPER_KEEPS)
		instance_keeper_on_kept(instance, &reply);
	else if (reply.event == KEEPER_RENEWED)
		instance_keeper_on_renewed(instance);
	else
		instance_keeper_discard(instance, (enum renewal_cause)reply.cause, reply.text);
}

int
instance_keeper_take(struct instance *instance, int fd, struct err *err)
{
	int rc = 0;

	instance->keeper = fd;
	if (fd >= 0)
		rc = loop_watch_new(instance->loop, fd, instance_keeper_on_readable, instance,
			&instance->keeper_watch, err);
	if (fd >= 0 && rc == 0)
		loop_watch_want(instance->keeper_watch, UV_READABLE);
	return rc;
}

void
instance_keeper_setup(struct instance *instance, const struct instance_spec *spec)
{
	must(spec->mechanism != MECHANISM_AUTO);
	must(spec->mechanism == MECHANISM_NONE || spec->concurrency == 1);
	instance->mechanism = spec->mechanism;
	instance->tally = renewal_tally_hold(spec->tally);
	instance->keeper = -1;
	list_init(&instance->after_call.link);
	instance->after_call.run = instance_keeper_after_call;
}
