/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/mem.h"
#include "base/own.h"
#include "runtime/answer.h"
#include "runtime/instance_inside.h"

enum {
	/* A peak that is no higher over its start needs no reset before the next call. */
	INSTANCE_PEAK_SLACK_BYTES = 1024 * 1024,
	INSTANCE_PEAK_RESET_MS = 1000,
	/* What a runtime does in this time after an answer is counted with the next call. */
	INSTANCE_CPU_GAP_MS = 1,
};

/* ---- slots ---- */

static void
instance_call_on_turn(struct loop_flush *turn)
{
	struct instance *instance = list_owner(turn, struct instance, turn);

	instance->is_cpu_read = instance->is_peak_read = false;
}

void
instance_call_setup(struct instance *instance, unsigned concurrency)
{
	must(concurrency >= 1 && concurrency <= INSTANCE_MAX_CALLS);
	instance->concurrency = instance->n_free = concurrency;
	instance->slots = mem_new(concurrency * sizeof(*instance->slots));
	instance->free_slots = mem_new(concurrency * sizeof(*instance->free_slots));
	for (unsigned i = 0; i < concurrency; i++)
		instance->free_slots[i] = (uint16_t)(concurrency - 1 - i);
	list_init(&instance->calls);
	list_init(&instance->turn.link);
	instance->turn.run = instance_call_on_turn;
}

void
instance_call_teardown(struct instance *instance)
{
	list_remove(&instance->turn.link);
	free(instance->slots);
	free(instance->free_slots);
}

static struct instance_call *
instance_call_find(const struct instance *instance, uint64_t number)
{
	size_t slot = number & (INSTANCE_MAX_CALLS - 1);

	if (slot >= instance->concurrency || instance->slots[slot].number != number)
		return NULL;
	return instance->slots[slot].call;
}

bool
instance_call_is_there(const struct instance *instance, uint64_t number)
{
	return instance_call_find(instance, number) != NULL;
}

/* ---- measure ---- */

/* CPU time is shared evenly between the calls that are in flight while it is used. Between two
 * readings of one turn nothing happens that a call could be charged for. */
static void ON_LOOP
instance_call_read_cpu(struct instance *instance)
{
	unsigned n_calls = instance->concurrency - instance->n_free;
	uint64_t now;

	if (instance->is_cpu_read && !instance->final)
		return;
	instance->is_cpu_read = true;
	loop_flush_soon(instance->loop, &instance->turn);
	now = instance->final ? instance->final->cpu_us : sandbox_cpu_us(instance->sandbox);
	if (n_calls > 0 && now > instance->cpu_us)
		instance->cpu_share_ns += (now - instance->cpu_us) * 1000 / n_calls;
	instance->cpu_us = now;
	instance->cpu_read_ms = uv_now(loop_uv(instance->loop));
}

static uint64_t ON_LOOP
instance_call_read_peak(struct instance *instance)
{
	if (instance->final)
		return instance->final->memory_peak_bytes;
	if (!instance->is_peak_read)
		instance->peak_bytes = sandbox_peak_bytes(instance->sandbox);
	instance->is_peak_read = true;
	loop_flush_soon(instance->loop, &instance->turn);
	return instance->peak_bytes;
}

/* The peak starts anew before a call when the one before it raised it, and now and then for memory
 * that was given back; with isolation `call` after the call, behind its answer. */
static void ON_LOOP
instance_call_reset_peak(struct instance *instance, uint64_t now_ms)
{
	sandbox_reset_peak(instance->sandbox);
	instance->peak_base_bytes = sandbox_peak_bytes(instance->sandbox);
	instance->peak_reset_ms = now_ms;
	instance->is_peak_high = false;
}

/* Right after another call what was read at its end still holds: reading costs as much as a small
 * part of a call. */
static void ON_LOOP
instance_call_begin_measure(struct instance *instance, struct instance_call *call)
{
	uint64_t now_ms = uv_now(loop_uv(instance->loop));
	bool is_alone = list_is_empty(&instance->calls);

	if (!is_alone || now_ms > instance->cpu_read_ms + INSTANCE_CPU_GAP_MS)
		instance_call_read_cpu(instance);
	call->cpu_start_ns = instance->cpu_share_ns;
	if (!is_alone || instance->mechanism != MECHANISM_NONE)
		return;
	if (instance->is_peak_high || now_ms >= instance->peak_reset_ms + INSTANCE_PEAK_RESET_MS)
		instance_call_reset_peak(instance, now_ms);
}

/* Whatever answered has used some; where nothing is measured it is 0. */
static uint64_t
instance_call_used_us(const struct instance *instance, const struct instance_call *call)
{
	uint64_t us = (instance->cpu_share_ns - call->cpu_start_ns) / 1000;

	return us == 0 && instance->cpu_us > 0 ? 1 : us;
}

static void ON_LOOP
instance_call_end_measure(struct instance *instance, struct instance_call *call)
{
	uint64_t peak = instance_call_read_peak(instance);

	instance_call_read_cpu(instance);
	call->measure.cpu_us = instance_call_used_us(instance, call);
	call->measure.memory_peak_bytes = peak;
	instance->is_peak_high = peak > instance->peak_base_bytes + INSTANCE_PEAK_SLACK_BYTES;
}

void
instance_call_measure_due(struct instance *instance)
{
	struct instance_call *call = take_ptr(&instance->due);
	uint64_t before = instance->cpu_us;

	if (!call)
		return;
	instance->is_cpu_read = false;
	instance_call_read_cpu(instance);
	if (instance->cpu_us > before)
		instance->cpu_share_ns += (instance->cpu_us - before) * 1000;
	call->measure.cpu_us = instance_call_used_us(instance, call);
	call->is_measure_due = false;
	call->on_measured(call);
}

void
instance_call_measure_anew(struct instance *instance)
{
	uint64_t now_ms = uv_now(loop_uv(instance->loop));

	instance->is_cpu_read = instance->is_peak_read = false;
	instance_call_read_cpu(instance);
	if (instance->is_peak_high || now_ms >= instance->peak_reset_ms + INSTANCE_PEAK_RESET_MS)
		instance_call_reset_peak(instance, now_ms);
}

uint64_t
instance_call_cpu_us(struct instance_call *call)
{
	if (!call->instance)
		return call->measure.cpu_us;
	instance_call_read_cpu(call->instance);
	return (call->instance->cpu_share_ns - call->cpu_start_ns) / 1000;
}

/* ---- sending ---- */

void
instance_send(struct instance *instance, struct instance_call *call)
{
	struct frame_call frame = {.trigger = (uint8_t)call->trigger,
		.deadline_unix_ms = call->deadline_unix_ms,
		.head_size = (uint32_t)call->head.len};
	const struct str parts[] = {str_n(&frame, sizeof(frame)), call->head, call->body};
	unsigned slot;

	must(instance_has_room(instance));
	instance_call_begin_measure(instance, call);
	instance_egress_begin_call(instance);
	slot = instance->free_slots[--instance->n_free];
	call->instance = instance;
	call->number = ++instance->generation << INSTANCE_SLOT_BITS | slot;
	call->n_answer_bytes = call->n_log_bytes = 0;
	call->has_head = call->is_log_truncated = call->is_measure_due = false;
	call->whole = NULL;
	instance->slots[slot] = (struct instance_slot){call, call->number};
	list_push_back(&instance->calls, &call->link);
	id_random(frame.random, sizeof(frame.random));
	memcpy(frame.call_id, call->call_id, sizeof(frame.call_id));
	channel_send(&instance->channel, FRAME_CALL, call->number, parts, 3);
	instance_log_resume(instance);
}

/* ---- the end of a call ---- */

/* Measures it and gives its slot back; it belongs to its owner again. */
static void ON_LOOP
instance_call_take_out(struct instance_call *call)
{
	struct instance *instance = call->instance;
	size_t slot = call->number & (INSTANCE_MAX_CALLS - 1);

	instance_call_end_measure(instance, call);
	instance_egress_end_call(instance, &call->measure);
	instance->slots[slot] = (struct instance_slot){0};
	instance->free_slots[instance->n_free++] = (uint16_t)slot;
	list_remove(&call->link);
	call->instance = NULL;
	instance->n_served++;
	channel_pause(&instance->channel, false);
}

/* In good order: what follows it comes behind the answers of the turn. */
static void ON_LOOP
instance_call_end(struct instance_call *call)
{
	struct instance *instance = call->instance;

	instance_call_take_out(call);
	instance_keeper_end_call(instance);
	if (!call->on_measured || instance->mechanism == MECHANISM_NONE)
		return;
	call->is_measure_due = true;
	instance->due = call;
}

void
instance_call_fail(struct instance_call *call, const struct err *reason, struct str trace)
{
	struct instance *instance = call->instance;

	instance_call_end(call);
	call->on_failure(call, reason, trace);
	instance_keeper_renew_soon(instance);
	instance_end_if_over(instance);
}

/* The function may still be at work on a call that nobody waits for: alone, it is killed; beside
 * others, it is told and gets no new ones. */
static void ON_LOOP
instance_call_drop(struct instance_call *call)
{
	struct instance *instance = call->instance;
	uint64_t number = call->number;

	instance_call_take_out(call);
	if (instance->mechanism != MECHANISM_NONE)
		instance_discard(instance, RENEWAL_CAUSE_CALL);
	else if (list_is_empty(&instance->calls))
		instance_stop(instance);
	else
		channel_send(&instance->channel, FRAME_CANCEL, number, NULL, 0);
	instance->is_retired = true;
}

void
instance_call_break_off(struct instance_call *call, const struct err *reason)
{
	instance_call_drop(call);
	call->on_failure(call, reason, STR_NONE);
}

void
instance_abandon(struct instance_call *call)
{
	if (call->instance)
		instance_call_drop(call);
}

void
instance_pause(struct instance_call *call, bool is_paused)
{
	if (call->instance && call->instance->concurrency == 1)
		channel_pause(&call->instance->channel, is_paused);
}

/* ---- what the function sends ---- */

/* What it printed before its answer stands in the pipes now; later it would be the next call's. */
static bool ON_LOOP
instance_call_drain_log(struct instance *instance, uint64_t number)
{
	if (instance->concurrency == 1) {
		instance_log_drain(instance);
		instance_egress_drain(instance);
	}
	return instance_call_is_there(instance, number);
}

static bool ON_LOOP
instance_call_count(struct instance_call *call, uint64_t bytes)
{
	struct instance *instance = call->instance;
	struct err err = {0};

	call->n_answer_bytes += bytes;
	if (call->n_answer_bytes <= instance->answer_bytes)
		return true;
	err_set(&err, ERR_ANSWER_TOO_LARGE, "the function's answer has more than %llu bytes",
		(unsigned long long)instance->answer_bytes);
	instance_call_break_off(call, &err);
	return false;
}

/* False when the answer is invalid, or the call is over for another reason. */
static bool ON_LOOP
instance_call_give_head(struct instance_call *call, char *text, size_t len, const struct str *whole)
{
	struct instance *instance = call->instance;
	uint64_t number = call->number;
	struct answer answer;
	struct err err = {0};

	if (answer_parse(text, len, &answer, &err) < 0) {
		if (whole)
			instance_call_fail(call, &err, STR_NONE);
		else
			instance_call_break_off(call, &err);
		return false;
	}
	call->has_head = true;
	call->whole = whole;
	call->on_head(call, answer.status, answer.headers, answer.n);
	if (!instance_call_is_there(instance, number))
		return false;
	call->whole = NULL;
	return true;
}

static bool
instance_call_give_body(struct instance_call *call, struct str bytes)
{
	struct instance *instance = call->instance;
	uint64_t number = call->number;

	if (bytes.len > 0)
		call->on_body(call, bytes);
	return instance_call_is_there(instance, number);
}

static void ON_LOOP
instance_call_give_end(struct instance_call *call)
{
	struct instance *instance = call->instance;

	instance_call_end(call);
	call->on_end(call);
	instance_keeper_renew_soon(instance);
	instance_end_if_over(instance);
}

/* A whole answer, or the part of one that has its head. */
static void ON_LOOP
instance_call_on_answer(struct instance_call *call, const struct channel_frame *frame)
{
	struct instance *instance = call->instance;
	bool is_whole = channel_frame_is_last(frame);
	uint64_t number = call->number;
	uint32_t head_size = 0;
	struct str body;
	struct err err = {0};

	if (frame->len >= sizeof(head_size))
		memcpy(&head_size, frame->at, sizeof(head_size));
	if (frame->len < sizeof(head_size) || head_size > frame->len - sizeof(head_size) ||
		call->has_head) {
		err_set(&err, ERR_ANSWER_INVALID, "the runtime sent an answer that is malformed");
		instance_end(instance, &err);
		return;
	}
	if (!instance_call_count(call, frame->head.size - sizeof(head_size) - head_size))
		return;
	if (is_whole && !instance_call_drain_log(instance, number))
		return;
	body = str_n(frame->at + sizeof(head_size) + head_size,
		frame->len - sizeof(head_size) - head_size);
	if (!instance_call_give_head(
		    call, frame->at + sizeof(head_size), head_size, is_whole ? &body : NULL))
		return;
	if (instance_call_give_body(call, body) && is_whole)
		instance_call_give_end(call);
	else
		instance->part_number = number;
}

static void ON_LOOP
instance_call_on_answer_rest(struct instance *instance, const struct channel_frame *frame)
{
	uint64_t number = instance->part_number;
	struct instance_call *call = instance_call_find(instance, number);

	if (!call || number != frame->head.call)
		return;
	if (!instance_call_give_body(call, str_n(frame->at, frame->len)))
		return;
	if (channel_frame_is_last(frame) && instance_call_drain_log(instance, number))
		instance_call_give_end(call);
}

/* The head, a piece or the end of a streamed answer. */
static void ON_LOOP
instance_call_on_stream(struct instance_call *call, const struct channel_frame *frame)
{
	struct instance *instance = call->instance;
	uint64_t number = call->number;
	bool is_new_body = frame->head.kind == FRAME_ANSWER_BODY && frame->offset == 0;
	struct err err = {0};

	if (call->has_head != (frame->head.kind != FRAME_ANSWER_HEAD)) {
		err_set(&err, ERR_ANSWER_INVALID, "the runtime sent an answer out of order");
		instance_end(instance, &err);
	} else if (!instance_call_count(call, is_new_body ? frame->head.size : 0)) {
		return;
	} else if (frame->head.kind == FRAME_ANSWER_HEAD) {
		instance_call_give_head(call, frame->at, frame->len, NULL);
	} else if (frame->head.kind == FRAME_ANSWER_BODY) {
		instance_call_give_body(call, str_n(frame->at, frame->len));
	} else if (instance_call_drain_log(instance, number)) {
		instance_call_give_end(call);
	}
}

/* Which limit of the sandbox an error comes from: the runtimes give the name of errno as type. */
static int ON_LOOP
instance_call_limit_of(struct instance *instance, struct str type)
{
	struct sandbox_usage usage = {0};
	bool is_fork_refused, is_oom_killed;

	sandbox_usage(instance->sandbox, &usage);
	is_fork_refused = usage.n_fork_refused > instance->n_fork_refused;
	is_oom_killed = usage.n_oom_kills > instance->n_oom_kills;
	instance->n_fork_refused = usage.n_fork_refused;
	instance->n_oom_kills = usage.n_oom_kills;
	if (is_oom_killed)
		return ERR_MEMORY_EXCEEDED;
	if (str_eq(type, STR("EMFILE")) || str_eq(type, STR("ENFILE")))
		return ERR_OPEN_FILES_EXCEEDED;
	if (str_eq(type, STR("ENOSPC")) || str_eq(type, STR("EDQUOT")))
		return ERR_TMP_EXCEEDED;
	if (is_fork_refused && str_eq(type, STR("EAGAIN")))
		return ERR_PROCESSES_EXCEEDED;
	return ERR_FUNCTION;
}

static void ON_LOOP
instance_call_on_error(struct instance_call *call, const struct channel_frame *frame)
{
	struct instance *instance = call->instance;
	struct err err = {0};
	struct str type, trace;

	trace = instance_read_failure(str_n(frame->at, frame->len), &err, &type);
	err.code = instance_call_limit_of(instance, type);
	if (instance_call_drain_log(instance, frame->head.call))
		instance_call_fail(call, &err, trace);
}

static void ON_LOOP
instance_call_on_log(struct instance_call *call, const struct channel_frame *frame)
{
	bool is_stderr = frame->head.flags == FRAME_STDERR;

	instance_log_give(call, is_stderr, str_n(frame->at, frame->len));
}

void
instance_call_on_frame(struct instance *instance, const struct channel_frame *frame)
{
	struct instance_call *call = instance_call_find(instance, frame->head.call);
	struct err err = {0};

	if (frame->head.kind == FRAME_ANSWER && frame->offset > 0) {
		instance_call_on_answer_rest(instance, frame);
		return;
	}
	if (frame->head.kind == FRAME_ANSWER)
		instance->part_number = 0;
	if (!call && frame->head.call >> INSTANCE_SLOT_BITS > instance->generation) {
		err_set(&err, ERR_ANSWER_INVALID, "the runtime answered a call that it never got");
		instance_end(instance, &err);
	} else if (!call) {
		return;
	} else if (frame->head.kind == FRAME_ANSWER) {
		instance_call_on_answer(call, frame);
	} else if (frame->head.kind == FRAME_ERROR) {
		instance_call_on_error(call, frame);
	} else if (frame->head.kind == FRAME_LOG) {
		instance_call_on_log(call, frame);
	} else {
		instance_call_on_stream(call, frame);
	}
}
