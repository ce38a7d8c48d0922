/* SPDX-License-Identifier: Apache-2.0 */
/* An instance that fails, is spoken to wrongly, or is not wanted any more. */
#include "unit.h"

#include <string.h>

#include "base/clock.h"
#include "instance_kit.h"

/* ---- failures ---- */

static void
errors(const char *type, size_t size, uint32_t n_fork_refused, uint32_t n_oom_kills, int code)
{
	OWN(kit) struct kit *kit = kit_ready(1);
	TOLD(told);

	send_call(kit, &told, STR_NONE);
	kit->sandbox->usage.n_fork_refused = n_fork_refused;
	kit->sandbox->usage.n_oom_kills = n_oom_kills;
	fake_send(kit->sandbox, FRAME_ERROR, 0, told.call.number, str_n(type, size));
	turn(kit);
	assert_int_equal(told.n_failures, 1);
	assert_int_equal(told.reason.code, code);
	assert_str(buf_str(&told.trace), "at x");
	assert_true(instance_has_room(kit->instance));
}

#define WORDS(text) text, sizeof(text) - 1

static void
an_error_names_the_limit_that_it_comes_from(void **state)
{
	errors(WORDS("TypeError\0no\0at x"), 0, 0, ERR_FUNCTION);
	errors(WORDS("EMFILE\0no\0at x"), 0, 0, ERR_OPEN_FILES_EXCEEDED);
	errors(WORDS("ENFILE\0no\0at x"), 0, 0, ERR_OPEN_FILES_EXCEEDED);
	errors(WORDS("ENOSPC\0no\0at x"), 0, 0, ERR_TMP_EXCEEDED);
	errors(WORDS("EDQUOT\0no\0at x"), 0, 0, ERR_TMP_EXCEEDED);
	errors(WORDS("EAGAIN\0no\0at x"), 0, 0, ERR_FUNCTION);
	errors(WORDS("EAGAIN\0no\0at x"), 1, 0, ERR_PROCESSES_EXCEEDED);
	errors(WORDS("Error\0no\0at x"), 0, 1, ERR_MEMORY_EXCEEDED);
}

static void
exits(int status, uint32_t n_oom_kills, int code, const char *text)
{
	OWN(kit) struct kit *kit = kit_ready(1);
	TOLD(told);

	send_call(kit, &told, STR_NONE);
	kit->sandbox->usage.n_oom_kills = n_oom_kills;
	close(kit->sandbox->channel);
	kit->sandbox->channel = -1;
	turn(kit);
	assert_int_equal(told.n_failures, 0);
	assert_false(instance_has_room(kit->instance));
	fake_gone(kit->sandbox, status);
	assert_int_equal(told.n_failures, 1);
	assert_int_equal(told.reason.code, code);
	assert_string_equal(told.reason.text, text);
	assert_int_equal(kit->reason.code, code);
}

static void
an_exit_in_a_call_is_told_when_it_is_known_how(void **state)
{
	exits(3, 0, ERR_FUNCTION_EXITED, "the function exited with status 3");
	exits(0, 0, ERR_FUNCTION_EXITED, "the function exited with status 0");
	exits(-11, 0, ERR_FUNCTION_EXITED, "the function was killed by signal 11 (SIGSEGV)");
	exits(-9, 1, ERR_MEMORY_EXCEEDED, "the function used more than its 64 MiB of memory");
}

static void
an_answer_before_the_exit_still_counts(void **state)
{
	OWN(kit) struct kit *kit = kit_ready(1);
	TOLD(told);

	send_call(kit, &told, STR_NONE);
	fake_print(kit->sandbox, false, "bye\n");
	fake_answer(kit->sandbox, told.call.number, "200\n", STR("ok"));
	fake_gone(kit->sandbox, 0);
	assert_int_equal(told.n_ends, 1);
	assert_int_equal(told.n_failures, 0);
	assert_str(buf_str(&told.body), "ok");
	assert_str(buf_str(&told.log), "O:bye\n");
}

static void
a_runtime_that_cannot_go_on_says_why_to_every_call(void **state)
{
	OWN(kit) struct kit *kit = kit_ready(2);
	TOLD(a);
	TOLD(b);

	send_call(kit, &a, STR_NONE);
	send_call(kit, &b, STR_NONE);
	fake_send(kit->sandbox, FRAME_FAIL, 0, 0, str_n("Error\0uncaught\0at y", 19));
	turn(kit);
	assert_false(instance_has_room(kit->instance));
	fake_gone(kit->sandbox, 1);
	assert_int_equal(a.reason.code, ERR_FUNCTION);
	assert_string_equal(b.reason.text, "Error: uncaught");
	assert_str(buf_str(&b.trace), "at y");
}

static void
a_stopped_instance_fails_its_calls_as_unavailable(void **state)
{
	OWN(kit) struct kit *kit = kit_ready(1);
	TOLD(told);

	thread_on_loop();
	send_call(kit, &told, STR_NONE);
	instance_stop(kit->instance);
	assert_true(kit->sandbox->was_asked);
	fake_gone(kit->sandbox, -9);
	assert_int_equal(told.reason.code, ERR_UNAVAILABLE);
	assert_int_equal(kit->reason.code, 0);
}

static void
an_answer_over_the_limit_ends_its_call(void **state)
{
	OWN(kit) struct kit *kit = kit_ready(1);
	OWN(mem) char *body = mem_new(150000);
	TOLD(told);

	send_call(kit, &told, STR_NONE);
	fake_send(kit->sandbox, FRAME_ANSWER_HEAD, 0, told.call.number, STR("200\n"));
	for (int i = 0; i < 7; i++) {
		fake_send(
			kit->sandbox, FRAME_ANSWER_BODY, 0, told.call.number, str_n(body, 150000));
		turn(kit);
	}
	assert_int_equal(told.n_failures, 1);
	assert_int_equal(told.reason.code, ERR_ANSWER_TOO_LARGE);
	assert_int_equal(told.body.len, 900000);
	assert_true(kit->sandbox->was_asked);
}

static void
a_long_answer_over_the_limit_is_refused_at_its_head(void **state)
{
	OWN(kit) struct kit *kit = kit_ready(1);
	OWN(mem) char *start = mem_new(70000);
	struct frame_head head = {.kind = FRAME_ANSWER, .size = 1000009};
	uint32_t head_size = 4;
	TOLD(told);

	send_call(kit, &told, STR_NONE);
	head.call = told.call.number;
	memcpy(start, &head, sizeof(head));
	memcpy(start + 16, &head_size, 4);
	memcpy(start + 20, "200\n", 4);
	assert_int_equal(write(kit->sandbox->channel, start, 70000), 70000);
	turn(kit);
	assert_int_equal(told.reason.code, ERR_ANSWER_TOO_LARGE);
	assert_int_equal(told.status, 0);
}

static void
an_invalid_answer_fails_its_call_and_the_next_is_served(void **state)
{
	OWN(kit) struct kit *kit = kit_ready(1);
	TOLD(first);
	TOLD(second);

	send_call(kit, &first, STR_NONE);
	answer(kit, &first, "200\nTransfer-Encoding:chunked\n", STR("x"));
	assert_int_equal(first.reason.code, ERR_ANSWER_INVALID);
	assert_int_equal(first.body.len, 0);
	send_call(kit, &second, STR_NONE);
	answer(kit, &second, "200\n", STR_NONE);
	assert_int_equal(second.n_ends, 1);
}

/* ---- hostile frames ---- */

static void
breaks(enum frame_kind kind, bool is_of_call, const char *payload, size_t size, const char *why)
{
	OWN(kit) struct kit *kit = kit_ready(1);
	TOLD(told);

	send_call(kit, &told, STR_NONE);
	fake_send(kit->sandbox, kind, 0, is_of_call ? told.call.number : 1u << 20,
		str_n(payload, size));
	turn(kit);
	assert_true(kit->sandbox->was_asked);
	answer(kit, &told, "200\n", STR("too late"));
	fake_gone(kit->sandbox, -9);
	assert_int_equal(told.n_ends, 0);
	assert_int_equal(told.reason.code, ERR_ANSWER_INVALID);
	assert_non_null(strstr(told.reason.text, why));
}

static void
frames_that_do_not_fit_the_moment_end_the_instance(void **state)
{
	breaks(FRAME_READY, false, NULL, 0, "twice");
	breaks(FRAME_ANSWER, false, WORDS("\4\0\0\0200\n"), "never got");
	breaks(FRAME_LOG, false, WORDS("x"), "never got");
	breaks(FRAME_ANSWER, true, WORDS("\1\0"), "malformed");
	breaks(FRAME_ANSWER, true, WORDS("\5\0\0\0200\n"), "malformed");
	breaks(FRAME_ANSWER, true, WORDS("\377\377\377\377200\n"), "malformed");
	breaks(FRAME_ANSWER_BODY, true, WORDS("x"), "out of order");
	breaks(FRAME_ANSWER_END, true, NULL, 0, "out of order");
}

static void
a_second_head_ends_the_instance(void **state)
{
	OWN(kit) struct kit *kit = kit_ready(1);
	TOLD(told);

	send_call(kit, &told, STR_NONE);
	fake_send(kit->sandbox, FRAME_ANSWER_HEAD, 0, told.call.number, STR("200\n"));
	fake_send(kit->sandbox, FRAME_ANSWER_HEAD, 0, told.call.number, STR("200\n"));
	turn(kit);
	assert_true(kit->sandbox->was_asked);
	fake_gone(kit->sandbox, -9);
	assert_int_equal(told.reason.code, ERR_ANSWER_INVALID);
}

static void
an_answer_before_ready_ends_the_instance(void **state)
{
	struct instance_spec spec = spec_new(1);
	OWN(kit) struct kit *kit = kit_new(&spec);

	fake_started(kit->sandbox);
	fake_answer(kit->sandbox, 1, "200\n", STR_NONE);
	turn(kit);
	assert_true(kit->sandbox->was_asked);
	fake_gone(kit->sandbox, -9);
	assert_int_equal(kit->reason.code, ERR_ANSWER_INVALID);
}

/* ---- abandoned, retired, paused ---- */

static void
an_abandoned_call_is_told_nothing_and_its_instance_is_killed(void **state)
{
	OWN(kit) struct kit *kit = kit_ready(1);
	TOLD(told);

	thread_on_loop();
	send_call(kit, &told, STR_NONE);
	kit->sandbox->usage.cpu_us = 700;
	instance_abandon(&told.call);
	assert_int_equal(told.call.measure.cpu_us, 700);
	assert_true(kit->sandbox->was_asked);
	assert_false(instance_has_room(kit->instance));
	answer(kit, &told, "200\n", STR_NONE);
	fake_gone(kit->sandbox, -9);
	assert_int_equal(told.n_ends + told.n_failures, 0);
}

static void
beside_others_an_abandoned_call_is_cancelled(void **state)
{
	OWN(kit) struct kit *kit = kit_ready(2);
	OWN(buf) struct buf got = BUF_INIT;
	struct frame_head head = {0};
	TOLD(gone);
	TOLD(stays);

	thread_on_loop();
	send_call(kit, &gone, STR_NONE);
	send_call(kit, &stays, STR_NONE);
	instance_abandon(&gone.call);
	turn(kit);
	assert_false(kit->sandbox->was_asked);
	assert_false(instance_has_room(kit->instance));
	while (fake_receive(kit->sandbox, &head, &got))
		;
	assert_int_equal(head.kind, FRAME_CANCEL);
	assert_int_equal(head.call, gone.call.number);
	answer(kit, &stays, "200\n", STR("fine"));
	assert_int_equal(stays.n_ends, 1);
	assert_true(kit->sandbox->was_asked);
}

static void
a_call_may_be_abandoned_while_its_head_is_told(void **state)
{
	OWN(kit) struct kit *kit = kit_ready(1);
	TOLD(told);

	send_call(kit, &told, STR_NONE);
	told.abandons = &told.call;
	answer(kit, &told, "200\n", STR("body"));
	assert_int_equal(told.status, 200);
	assert_int_equal(told.body.len, 0);
	assert_int_equal(told.n_ends + told.n_failures, 0);
}

static void
a_retired_instance_ends_with_its_last_call(void **state)
{
	OWN(kit) struct kit *kit = kit_ready(2);
	TOLD(told);

	thread_on_loop();
	send_call(kit, &told, STR_NONE);
	instance_retire(kit->instance);
	assert_false(instance_has_room(kit->instance));
	assert_false(kit->sandbox->was_asked);
	answer(kit, &told, "200\n", STR_NONE);
	assert_int_equal(told.n_ends, 1);
	assert_true(kit->sandbox->was_asked);
}

static void
a_paused_answer_waits_for_its_client(void **state)
{
	OWN(kit) struct kit *kit = kit_ready(1);
	TOLD(told);

	thread_on_loop();
	send_call(kit, &told, STR_NONE);
	instance_pause(&told.call, true);
	answer(kit, &told, "200\n", STR("x"));
	assert_int_equal(told.n_ends, 0);
	instance_pause(&told.call, false);
	turn(kit);
	assert_int_equal(told.n_ends, 1);
}

UNIT_TESTS(it(an_error_names_the_limit_that_it_comes_from),
	it(an_exit_in_a_call_is_told_when_it_is_known_how),
	it(an_answer_before_the_exit_still_counts),
	it(a_runtime_that_cannot_go_on_says_why_to_every_call),
	it(a_stopped_instance_fails_its_calls_as_unavailable),
	it(an_answer_over_the_limit_ends_its_call),
	it(a_long_answer_over_the_limit_is_refused_at_its_head),
	it(an_invalid_answer_fails_its_call_and_the_next_is_served),
	it(frames_that_do_not_fit_the_moment_end_the_instance), it(a_second_head_ends_the_instance),
	it(an_answer_before_ready_ends_the_instance),
	it(an_abandoned_call_is_told_nothing_and_its_instance_is_killed),
	it(beside_others_an_abandoned_call_is_cancelled),
	it(a_call_may_be_abandoned_while_its_head_is_told),
	it(a_retired_instance_ends_with_its_last_call), it(a_paused_answer_waits_for_its_client))
