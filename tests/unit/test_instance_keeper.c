/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <string.h>

#include "instance_kit.h"

/* What a test of an instance with isolation `call` holds. */
struct kept {
	struct kit *kit; /* owned */
	struct renewal_tally *tally;
};

static inline void
own_kept(struct kept *kept)
{
	kit_free(kept->kit);
	renewal_tally_release(kept->tally);
}

#define KEPT(name) __attribute__((cleanup(own_kept))) struct kept name = {0}

static void
load(struct kept *kept, enum mechanism mechanism, bool has_keeper)
{
	struct instance_spec spec = spec_new(1);

	kept->tally = spec.tally = renewal_tally_new(NULL);
	spec.mechanism = mechanism;
	spec.boot_ms = 100;
	kept->kit = kit_new(&spec);
	kept->kit->sandbox->has_keeper = has_keeper && kept->kit->sandbox->request.wants_keeper;
	fake_started(kept->kit->sandbox);
	fake_send(kept->kit->sandbox, FRAME_READY, 0, 0, STR_NONE);
	turn(kept->kit);
}

static void
expect_request(struct kept *kept, enum keeper_op op)
{
	struct keeper_request request = {0};

	assert_true(fake_keeper_receive(kept->kit->sandbox, &request));
	assert_int_equal(request.op, op);
	assert_int_equal(request.mechanism, KEEPER_ROLLBACK);
}

static void
keep(struct kept *kept)
{
	load(kept, MECHANISM_ROLLBACK, true);
	expect_request(kept, KEEPER_KEEP);
	assert_int_equal(kept->kit->n_ready, 0);
	fake_keeper_answer(kept->kit->sandbox, KEEPER_KEPT, KEEPER_CAUSE_NONE);
	turn(kept->kit);
	assert_int_equal(kept->kit->n_ready, 1);
}

/* One call to its answer: RENEW is asked for. */
static void
serve(struct kept *kept)
{
	TOLD(told);

	send_call(kept->kit, &told, STR_NONE);
	answer(kept->kit, &told, "200\n", STR_NONE);
	assert_int_equal(told.n_ends, 1);
	expect_request(kept, KEEPER_RENEW);
}

static void
expect_discard(struct kept *kept, enum renewal_cause cause)
{
	assert_true(kept->kit->sandbox->was_asked);
	fake_gone(kept->kit->sandbox, -9);
	assert_int_equal(kept->kit->reason.code, 0);
	assert_int_equal(kept->tally->n_discarded[cause], 1);
	assert_int_equal(renewal_n_discarded(kept->tally), 1);
}

/* ---- keep ---- */

static void
it_is_ready_when_its_keeper_has_kept_it(void **state)
{
	KEPT(kept);

	load(&kept, MECHANISM_ROLLBACK, true);
	assert_true(kept.kit->sandbox->request.wants_keeper);
	expect_request(&kept, KEEPER_KEEP);
	assert_int_equal(kept.kit->n_ready, 0);
	assert_false(instance_has_room(kept.kit->instance));
	fake_keeper_answer(kept.kit->sandbox, KEEPER_KEPT, KEEPER_CAUSE_NONE);
	turn(kept.kit);
	assert_int_equal(kept.kit->n_ready, 1);
	assert_true(instance_has_room(kept.kit->instance));
	assert_int_equal(instance_mechanism(kept.kit->instance), MECHANISM_ROLLBACK);
}

static void
fork_is_asked_for_by_its_name(void **state)
{
	struct keeper_request request = {0};
	KEPT(kept);

	load(&kept, MECHANISM_FORK, true);
	assert_true(fake_keeper_receive(kept.kit->sandbox, &request));
	assert_int_equal(request.mechanism, KEEPER_FORK);
}

static void
isolation_instance_has_no_keeper(void **state)
{
	KEPT(kept);

	load(&kept, MECHANISM_NONE, true);
	assert_false(kept.kit->sandbox->request.wants_keeper);
	assert_int_equal(kept.kit->n_ready, 1);
}

static void
without_a_keeper_it_serves_one_call(void **state)
{
	KEPT(kept);

	load(&kept, MECHANISM_ROLLBACK, false);
	assert_int_equal(kept.kit->n_unable, 1);
	assert_int_equal(kept.kit->tried, MECHANISM_ROLLBACK);
	assert_int_equal(kept.kit->unable, RENEWAL_CAUSE_NONE);
	assert_int_equal(kept.kit->n_ready, 1);
	assert_int_equal(instance_mechanism(kept.kit->instance), MECHANISM_ONCE);
}

static void
a_program_that_cannot_be_kept_serves_one_call(void **state)
{
	KEPT(kept);
	TOLD(told);

	load(&kept, MECHANISM_ROLLBACK, true);
	fake_keeper_answer(kept.kit->sandbox, KEEPER_UNABLE, KEEPER_CAUSE_SHARED);
	turn(kept.kit);
	assert_int_equal(kept.kit->unable, KEEPER_CAUSE_SHARED);
	assert_string_equal(kept.kit->why, "shared: played");
	assert_int_equal(kept.kit->n_ready, 1);
	send_call(kept.kit, &told, STR_NONE);
	answer(kept.kit, &told, "200\n", STR_NONE);
	assert_int_equal(told.n_ends, 1);
	expect_discard(&kept, RENEWAL_CAUSE_ONCE);
}

static void
fail_to_keep(void (*spoil)(struct kept *kept), enum renewal_cause cause)
{
	KEPT(kept);

	load(&kept, MECHANISM_ROLLBACK, true);
	spoil(&kept);
	turn(kept.kit);
	assert_int_equal(kept.kit->n_unable, 1);
	assert_int_equal(kept.kit->unable, cause);
	assert_int_equal(kept.kit->n_ready, 0);
	expect_discard(&kept, cause);
}

static void
ends(struct kept *kept)
{
	fake_keeper_end(kept->kit->sandbox);
}

static void
sends_little(struct kept *kept)
{
	fake_keeper_send(kept->kit->sandbox, STR("?"));
}

static void
sends_much(struct kept *kept)
{
	static const char bytes[sizeof(struct keeper_reply) + 1];

	fake_keeper_send(kept->kit->sandbox, str_n(bytes, sizeof(bytes)));
}

static void
sends_zeroes(struct kept *kept)
{
	static const char bytes[sizeof(struct keeper_reply)];

	fake_keeper_send(kept->kit->sandbox, str_n(bytes, sizeof(bytes)));
}

static void
says_renewed_unasked(struct kept *kept)
{
	fake_keeper_answer(kept->kit->sandbox, KEEPER_RENEWED, KEEPER_CAUSE_NONE);
}

static void
says_kept_with_a_cause(struct kept *kept)
{
	fake_keeper_answer(kept->kit->sandbox, KEEPER_KEPT, KEEPER_CAUSE_FILES);
}

static void
sends_a_text_without_end(struct kept *kept)
{
	struct keeper_reply reply = {
		.magic = KEEPER_MAGIC, .event = KEEPER_UNABLE, .cause = KEEPER_CAUSE_BUSY};

	memset(reply.text, 'x', sizeof(reply.text));
	fake_keeper_send(kept->kit->sandbox, str_n(&reply, sizeof(reply)));
}

static void
names_no_cause_that_there_is(struct kept *kept)
{
	fake_keeper_answer(kept->kit->sandbox, KEEPER_UNABLE, KEEPER_CAUSES);
}

static void
is_silent(struct kept *kept)
{
	for (int i = 0; i < 500 && kept->kit->n_unable == 0; i++) {
		usleep(2000);
		turn(kept->kit);
	}
}

static void
a_keeper_that_fails_to_keep_costs_the_instance(void **state)
{
	fail_to_keep(ends, RENEWAL_CAUSE_LOST);
	fail_to_keep(sends_little, RENEWAL_CAUSE_SILENT);
	fail_to_keep(sends_much, RENEWAL_CAUSE_SILENT);
	fail_to_keep(sends_zeroes, RENEWAL_CAUSE_SILENT);
	fail_to_keep(says_renewed_unasked, RENEWAL_CAUSE_SILENT);
	fail_to_keep(says_kept_with_a_cause, RENEWAL_CAUSE_SILENT);
	fail_to_keep(sends_a_text_without_end, RENEWAL_CAUSE_SILENT);
	fail_to_keep(names_no_cause_that_there_is, RENEWAL_CAUSE_SILENT);
	fail_to_keep(is_silent, RENEWAL_CAUSE_SILENT);
}

static void
a_keeper_that_ends_before_the_program_has_loaded_costs_the_instance(void **state)
{
	struct instance_spec spec = spec_new(1);
	KEPT(kept);

	kept.tally = spec.tally = renewal_tally_new(NULL);
	spec.mechanism = MECHANISM_ROLLBACK;
	kept.kit = kit_new(&spec);
	kept.kit->sandbox->has_keeper = true;
	fake_started(kept.kit->sandbox);
	fake_keeper_end(kept.kit->sandbox);
	turn(kept.kit);
	fake_send(kept.kit->sandbox, FRAME_READY, 0, 0, STR_NONE);
	turn(kept.kit);
	expect_discard(&kept, RENEWAL_CAUSE_LOST);
}

/* ---- renew ---- */

static void
after_a_call_it_has_room_when_it_is_renewed(void **state)
{
	KEPT(kept);
	TOLD(told);

	keep(&kept);
	send_call(kept.kit, &told, STR_NONE);
	answer(kept.kit, &told, "200\n", STR("x"));
	assert_int_equal(told.n_ends, 1);
	assert_int_equal(told.state_at_end, INSTANCE_RENEWING);
	assert_false(instance_has_room(kept.kit->instance));
	expect_request(&kept, KEEPER_RENEW);
	assert_int_equal(kept.kit->n_rooms, 0);
	fake_keeper_answer(kept.kit->sandbox, KEEPER_RENEWED, KEEPER_CAUSE_NONE);
	turn(kept.kit);
	assert_int_equal(kept.kit->n_rooms, 1);
	assert_true(instance_has_room(kept.kit->instance));
	assert_int_equal(kept.tally->n_renewed, 1);
	assert_int_equal(renewal_n_discarded(kept.tally), 0);
	for (int i = 0; i < 3; i++) {
		serve(&kept);
		fake_keeper_answer(kept.kit->sandbox, KEEPER_RENEWED, KEEPER_CAUSE_NONE);
		turn(kept.kit);
	}
	assert_int_equal(kept.kit->n_rooms, 4);
	assert_int_equal(kept.kit->n_gone, 0);
}

static void
a_call_that_fails_in_its_handler_is_renewed_too(void **state)
{
	KEPT(kept);
	TOLD(told);

	keep(&kept);
	send_call(kept.kit, &told, STR_NONE);
	fake_send(kept.kit->sandbox, FRAME_ERROR, 0, told.call.number, str_n("E\0no\0", 5));
	turn(kept.kit);
	assert_int_equal(told.n_failures, 1);
	assert_int_equal(told.state_at_end, INSTANCE_RENEWING);
	expect_request(&kept, KEEPER_RENEW);
}

static void
what_is_spoilt_is_discarded_and_nobody_is_to_blame(void **state)
{
	KEPT(kept);

	keep(&kept);
	serve(&kept);
	fake_keeper_answer(kept.kit->sandbox, KEEPER_SPOILT, KEEPER_CAUSE_TIMERS);
	turn(kept.kit);
	assert_int_equal(kept.kit->n_rooms, 0);
	assert_int_equal(kept.kit->n_discarded, 1);
	assert_int_equal(instance_state(kept.kit->instance), INSTANCE_ENDING);
	expect_discard(&kept, (enum renewal_cause)KEEPER_CAUSE_TIMERS);
	assert_int_equal(kept.kit->n_discarded, 1);
	assert_string_equal(kept.tally->last_spoilt, "played");
}

static void
fail_to_renew(void (*spoil)(struct kept *kept), enum renewal_cause cause)
{
	KEPT(kept);

	keep(&kept);
	serve(&kept);
	spoil(&kept);
	turn(kept.kit);
	assert_int_equal(kept.kit->n_rooms, 0);
	expect_discard(&kept, cause);
}

static void
says_kept_again(struct kept *kept)
{
	fake_keeper_answer(kept->kit->sandbox, KEEPER_KEPT, KEEPER_CAUSE_NONE);
}

static void
says_spoilt_without_a_cause(struct kept *kept)
{
	fake_keeper_answer(kept->kit->sandbox, KEEPER_SPOILT, KEEPER_CAUSE_NONE);
}

/* The loop's time is moved on, not waited for. */
static void
is_silent_too_long(struct kept *kept)
{
	for (int i = 0; i < 600 && !kept->kit->sandbox->was_asked; i++) {
		usleep(10000);
		turn(kept->kit);
	}
}

static void
a_keeper_that_fails_to_renew_costs_the_instance(void **state)
{
	fail_to_renew(ends, RENEWAL_CAUSE_LOST);
	fail_to_renew(sends_little, RENEWAL_CAUSE_SILENT);
	fail_to_renew(sends_much, RENEWAL_CAUSE_SILENT);
	fail_to_renew(sends_zeroes, RENEWAL_CAUSE_SILENT);
	fail_to_renew(says_kept_again, RENEWAL_CAUSE_SILENT);
	fail_to_renew(says_spoilt_without_a_cause, RENEWAL_CAUSE_SILENT);
	fail_to_renew(is_silent_too_long, RENEWAL_CAUSE_SILENT);
}

static void
a_keeper_that_ends_between_calls_costs_the_instance(void **state)
{
	KEPT(kept);

	keep(&kept);
	fake_keeper_end(kept.kit->sandbox);
	turn(kept.kit);
	expect_discard(&kept, RENEWAL_CAUSE_LOST);
}

static void
a_keeper_that_ends_in_a_call_does_not_cost_the_call(void **state)
{
	KEPT(kept);
	TOLD(told);

	keep(&kept);
	send_call(kept.kit, &told, STR_NONE);
	fake_keeper_end(kept.kit->sandbox);
	turn(kept.kit);
	assert_false(kept.kit->sandbox->was_asked);
	answer(kept.kit, &told, "200\n", STR("whole"));
	assert_str(buf_str(&told.body), "whole");
	assert_int_equal(told.n_ends, 1);
	expect_discard(&kept, RENEWAL_CAUSE_LOST);
}

static void
an_unasked_word_between_calls_costs_the_instance(void **state)
{
	KEPT(kept);

	keep(&kept);
	fake_keeper_answer(kept.kit->sandbox, KEEPER_RENEWED, KEEPER_CAUSE_NONE);
	turn(kept.kit);
	expect_discard(&kept, RENEWAL_CAUSE_SILENT);
}

static void
once_is_discarded_after_its_call(void **state)
{
	KEPT(kept);
	TOLD(told);

	load(&kept, MECHANISM_ONCE, true);
	assert_false(kept.kit->sandbox->request.wants_keeper);
	assert_int_equal(kept.kit->n_unable, 0);
	send_call(kept.kit, &told, STR_NONE);
	answer(kept.kit, &told, "200\n", STR_NONE);
	assert_int_equal(told.n_ends, 1);
	assert_int_equal(told.state_at_end, INSTANCE_ENDING);
	expect_discard(&kept, RENEWAL_CAUSE_ONCE);
}

/* ---- what a call leaves behind ---- */

static void
what_was_printed_after_the_answer_belongs_to_nobody(void **state)
{
	KEPT(kept);
	TOLD(told);

	keep(&kept);
	serve(&kept);
	fake_print(kept.kit->sandbox, false, "late\n");
	fake_print(kept.kit->sandbox, true, "later\n");
	fake_keeper_answer(kept.kit->sandbox, KEEPER_RENEWED, KEEPER_CAUSE_NONE);
	turn(kept.kit);
	assert_int_equal(kept.kit->n_rooms, 1);
	send_call(kept.kit, &told, STR_NONE);
	fake_print(kept.kit->sandbox, false, "mine\n");
	answer(kept.kit, &told, "200\n", STR_NONE);
	assert_str(buf_str(&told.log), "O:mine\n");
}

static void
whole_frames_of_a_call_that_is_over_are_dropped(void **state)
{
	KEPT(kept);
	TOLD(first);
	TOLD(second);

	keep(&kept);
	send_call(kept.kit, &first, STR_NONE);
	answer(kept.kit, &first, "200\n", STR_NONE);
	expect_request(&kept, KEEPER_RENEW);
	fake_answer(kept.kit->sandbox, first.call.number, "500\n", STR("again"));
	fake_send(kept.kit->sandbox, FRAME_LOG, FRAME_STDOUT, first.call.number, STR("x"));
	fake_send(kept.kit->sandbox, FRAME_LOG, FRAME_STDOUT, 0, STR("x"));
	fake_keeper_answer(kept.kit->sandbox, KEEPER_RENEWED, KEEPER_CAUSE_NONE);
	turn(kept.kit);
	assert_int_equal(kept.kit->n_rooms, 1);
	send_call(kept.kit, &second, STR_NONE);
	answer(kept.kit, &second, "200\n", STR("2"));
	assert_str(buf_str(&second.body), "2");
	assert_int_equal(second.log.len, 0);
}

/* `bytes` come before the keeper is asked, or while it is at work. */
static void
leave_on_the_channel(struct str bytes, bool is_early)
{
	KEPT(kept);
	TOLD(told);

	keep(&kept);
	send_call(kept.kit, &told, STR_NONE);
	if (is_early) {
		fake_answer(kept.kit->sandbox, told.call.number, "200\n", STR_NONE);
		must(write(kept.kit->sandbox->channel, bytes.at, bytes.len) == (ssize_t)bytes.len);
		turn(kept.kit);
	} else {
		answer(kept.kit, &told, "200\n", STR_NONE);
		must(write(kept.kit->sandbox->channel, bytes.at, bytes.len) == (ssize_t)bytes.len);
		fake_keeper_answer(kept.kit->sandbox, KEEPER_RENEWED, KEEPER_CAUSE_NONE);
		turn(kept.kit);
	}
	assert_int_equal(told.n_ends, 1);
	assert_int_equal(kept.kit->n_rooms, 0);
	expect_discard(&kept, RENEWAL_CAUSE_CHANNEL);
}

static void
a_channel_that_is_not_at_rest_costs_the_instance(void **state)
{
	struct frame_head ready = {.kind = FRAME_READY};
	struct frame_head unknown = {.kind = 99};
	struct frame_head ahead = {.kind = FRAME_LOG, .call = 1ull << 40};
	struct frame_head body = {.kind = FRAME_ANSWER_BODY, .size = 300000, .call = 1 << 10};

	for (int is_early = 0; is_early < 2; is_early++) {
		leave_on_the_channel(STR("part of a head"), is_early);
		leave_on_the_channel(str_n(&body, sizeof(body)), is_early);
		leave_on_the_channel(str_n(&ready, sizeof(ready)), is_early);
		leave_on_the_channel(str_n(&unknown, sizeof(unknown)), is_early);
		leave_on_the_channel(str_n(&ahead, sizeof(ahead)), is_early);
	}
}

static void
a_channel_that_is_closed_after_the_answer_costs_the_instance(void **state)
{
	KEPT(kept);

	keep(&kept);
	serve(&kept);
	close(take_fd(&kept.kit->sandbox->channel));
	for (int i = 0; i < 500 && !kept.kit->sandbox->was_asked; i++) {
		usleep(10000);
		turn(kept.kit);
	}
	expect_discard(&kept, RENEWAL_CAUSE_CHANNEL);
}

static void
a_program_that_dies_while_it_is_renewed_is_counted(void **state)
{
	KEPT(kept);

	keep(&kept);
	serve(&kept);
	fake_gone(kept.kit->sandbox, 1);
	assert_int_equal(kept.tally->n_discarded[RENEWAL_CAUSE_GONE], 1);
	assert_int_equal(renewal_n_discarded(kept.tally), 1);
}

/* ---- calls that are cut off ---- */

static void
an_abandoned_call_costs_the_instance(void **state)
{
	KEPT(kept);
	TOLD(told);

	keep(&kept);
	send_call(kept.kit, &told, STR_NONE);
	thread_on_loop();
	instance_abandon(&told.call);
	turn(kept.kit);
	assert_false(instance_has_room(kept.kit->instance));
	expect_discard(&kept, RENEWAL_CAUSE_CALL);
}

static void
a_death_in_a_call_is_the_call_s_failure_and_is_counted(void **state)
{
	KEPT(kept);
	TOLD(told);

	keep(&kept);
	send_call(kept.kit, &told, STR_NONE);
	fake_gone(kept.kit->sandbox, 3);
	assert_int_equal(told.n_failures, 1);
	assert_int_equal(told.reason.code, ERR_FUNCTION_EXITED);
	assert_int_equal(kept.tally->n_discarded[RENEWAL_CAUSE_CALL], 1);
	assert_int_equal(renewal_n_discarded(kept.tally), 1);
}

static void
one_that_is_stopped_or_retired_while_it_is_renewed_counts_as_nothing(void **state)
{
	KEPT(kept);

	keep(&kept);
	serve(&kept);
	thread_on_loop();
	instance_retire(kept.kit->instance);
	fake_keeper_answer(kept.kit->sandbox, KEEPER_RENEWED, KEEPER_CAUSE_NONE);
	turn(kept.kit);
	assert_int_equal(kept.kit->n_rooms, 0);
	assert_true(kept.kit->sandbox->was_asked);
	fake_gone(kept.kit->sandbox, -9);
	assert_int_equal(renewal_n_discarded(kept.tally), 0);
}

/* ---- measure ---- */

static void
what_the_renewal_uses_is_nobody_s(void **state)
{
	KEPT(kept);
	TOLD(first);
	TOLD(second);

	keep(&kept);
	send_call(kept.kit, &first, STR_NONE);
	kept.kit->sandbox->usage.cpu_us += 700;
	kept.kit->sandbox->usage.memory_peak_bytes = 90 << 20;
	answer(kept.kit, &first, "200\n", STR_NONE);
	assert_int_equal(first.call.measure.cpu_us, 700);
	assert_int_equal(first.call.measure.memory_peak_bytes, 90 << 20);
	expect_request(&kept, KEEPER_RENEW);
	kept.kit->sandbox->usage.cpu_us += 5000;
	kept.kit->sandbox->n_peak_resets = 0;
	fake_keeper_answer(kept.kit->sandbox, KEEPER_RENEWED, KEEPER_CAUSE_NONE);
	turn(kept.kit);
	assert_int_equal(kept.kit->sandbox->n_peak_resets, 1);
	kept.kit->sandbox->usage.memory_peak_bytes = 31 << 20;
	send_call(kept.kit, &second, STR_NONE);
	assert_int_equal(kept.kit->sandbox->n_peak_resets, 1);
	kept.kit->sandbox->usage.cpu_us += 30;
	answer(kept.kit, &second, "200\n", STR_NONE);
	assert_int_equal(second.call.measure.cpu_us, 30);
	assert_int_equal(second.call.measure.memory_peak_bytes, 31 << 20);
}

static void
what_is_counted_only_behind_the_answer_is_the_call_s(void **state)
{
	KEPT(kept);
	TOLD(first);
	TOLD(second);

	keep(&kept);
	first.tail_us = 300;
	send_call(kept.kit, &first, STR_NONE);
	kept.kit->sandbox->usage.cpu_us += 70;
	answer(kept.kit, &first, "200\n", STR_NONE);
	assert_int_equal(first.n_measured, 1);
	assert_int_equal(first.call.measure.cpu_us, 370);
	kept.kit->sandbox->usage.cpu_us += 9000;
	fake_keeper_answer(kept.kit->sandbox, KEEPER_RENEWED, KEEPER_CAUSE_NONE);
	turn(kept.kit);
	send_call(kept.kit, &second, STR_NONE);
	answer(kept.kit, &second, "200\n", STR_NONE);
	assert_int_equal(second.n_measured, 1);
	assert_int_equal(second.call.measure.cpu_us, 1);
}

static void
a_call_that_its_instance_died_in_is_measured_once(void **state)
{
	KEPT(kept);
	TOLD(told);

	keep(&kept);
	send_call(kept.kit, &told, STR_NONE);
	kept.kit->sandbox->usage.cpu_us += 600;
	fake_gone(kept.kit->sandbox, 3);
	assert_int_equal(told.n_failures, 1);
	assert_int_equal(told.n_measured, 1);
	assert_int_equal(told.call.measure.cpu_us, 600);
}

static void
once_measures_behind_the_answer_too(void **state)
{
	KEPT(kept);
	TOLD(told);

	load(&kept, MECHANISM_ONCE, true);
	told.tail_us = 250;
	send_call(kept.kit, &told, STR_NONE);
	answer(kept.kit, &told, "200\n", STR_NONE);
	assert_int_equal(told.n_measured, 1);
	assert_int_equal(told.call.measure.cpu_us, 250);
}

static void
where_nothing_is_measured_it_is_0(void **state)
{
	KEPT(kept);
	TOLD(told);

	keep(&kept);
	send_call(kept.kit, &told, STR_NONE);
	answer(kept.kit, &told, "200\n", STR_NONE);
	assert_int_equal(told.n_measured, 1);
	assert_int_equal(told.call.measure.cpu_us, 0);
}

UNIT_TESTS(it(it_is_ready_when_its_keeper_has_kept_it), it(fork_is_asked_for_by_its_name),
	it(isolation_instance_has_no_keeper), it(without_a_keeper_it_serves_one_call),
	it(a_program_that_cannot_be_kept_serves_one_call),
	it(a_keeper_that_fails_to_keep_costs_the_instance),
	it(a_keeper_that_ends_before_the_program_has_loaded_costs_the_instance),
	it(after_a_call_it_has_room_when_it_is_renewed),
	it(a_call_that_fails_in_its_handler_is_renewed_too),
	it(what_is_spoilt_is_discarded_and_nobody_is_to_blame),
	it(a_keeper_that_fails_to_renew_costs_the_instance),
	it(a_keeper_that_ends_between_calls_costs_the_instance),
	it(a_keeper_that_ends_in_a_call_does_not_cost_the_call),
	it(an_unasked_word_between_calls_costs_the_instance), it(once_is_discarded_after_its_call),
	it(what_was_printed_after_the_answer_belongs_to_nobody),
	it(whole_frames_of_a_call_that_is_over_are_dropped),
	it(a_channel_that_is_not_at_rest_costs_the_instance),
	it(a_channel_that_is_closed_after_the_answer_costs_the_instance),
	it(a_program_that_dies_while_it_is_renewed_is_counted),
	it(an_abandoned_call_costs_the_instance),
	it(a_death_in_a_call_is_the_call_s_failure_and_is_counted),
	it(one_that_is_stopped_or_retired_while_it_is_renewed_counts_as_nothing),
	it(what_the_renewal_uses_is_nobody_s),
	it(what_is_counted_only_behind_the_answer_is_the_call_s),
	it(a_call_that_its_instance_died_in_is_measured_once),
	it(once_measures_behind_the_answer_too), it(where_nothing_is_measured_it_is_0))
