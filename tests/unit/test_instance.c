/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <string.h>

#include "base/clock.h"
#include "instance_kit.h"

/* ---- booting ---- */

static void
it_gets_its_environment_before_anything_else(void **state)
{
	struct instance_spec spec = spec_new(1);
	OWN(kit) struct kit *kit = kit_new(&spec);
	OWN(buf) struct buf got = BUF_INIT;
	struct frame_head head;

	turn(kit);
	assert_true(fake_receive(kit->sandbox, &head, &got));
	assert_int_equal(head.kind, FRAME_INIT);
	assert_int_equal(got.len, 19);
	assert_memory_equal(got.at, "MAYFLY_HANDLER=a.b\0", 19);
}

static void
it_is_ready_when_it_was_started_and_has_loaded(void **state)
{
	struct instance_spec spec = spec_new(1);
	OWN(kit) struct kit *kit = kit_new(&spec);

	thread_on_loop();
	fake_send(kit->sandbox, FRAME_READY, 0, 0, STR_NONE);
	turn(kit);
	assert_int_equal(kit->n_ready, 0);
	assert_false(instance_has_room(kit->instance));
	fake_started(kit->sandbox);
	assert_int_equal(kit->n_ready, 1);
	assert_true(instance_has_room(kit->instance));
}

static void
a_handler_that_cannot_be_loaded_gives_the_words_of_the_runtime(void **state)
{
	struct instance_spec spec = spec_new(1);
	OWN(kit) struct kit *kit = kit_new(&spec);

	fake_started(kit->sandbox);
	fake_print(kit->sandbox, false, "loading\n");
	fake_send(kit->sandbox, FRAME_FAIL, 0, 0,
		str_n("SyntaxError\0no } in index.js:3\0at index.js:3\n", 46));
	turn(kit);
	assert_true(kit->sandbox->was_asked);
	fake_gone(kit->sandbox, 1);
	assert_int_equal(kit->reason.code, ERR_FUNCTION_FAILED);
	assert_string_equal(kit->reason.text, "SyntaxError: no } in index.js:3");
	assert_string_equal(kit->boot_log.at, "loading\nat index.js:3\n");
	assert_int_equal(kit->n_ready, 0);
}

static void
an_exit_while_it_boots_says_how_and_shows_what_was_printed(void **state)
{
	struct instance_spec spec = spec_new(1);
	OWN(kit) struct kit *kit = kit_new(&spec);

	fake_started(kit->sandbox);
	fake_print(kit->sandbox, true, "no such module\n");
	fake_gone(kit->sandbox, 7);
	assert_int_equal(kit->reason.code, ERR_FUNCTION_EXITED);
	assert_string_equal(kit->reason.text, "the function exited with status 7 while it loaded");
	assert_string_equal(kit->boot_log.at, "no such module\n");
}

static void
of_a_long_boot_log_the_end_is_kept(void **state)
{
	struct instance_spec spec = spec_new(1);
	OWN(kit) struct kit *kit = kit_new(&spec);

	fake_started(kit->sandbox);
	for (int i = 0; i < 5000; i++) {
		fake_print(kit->sandbox, true, "line after line\n");
		if (i % 1000 == 0)
			turn(kit);
	}
	fake_print(kit->sandbox, true, "the end\n");
	turn(kit);
	fake_gone(kit->sandbox, 1);
	assert_int_equal(kit->boot_log.len, 16 * 1024);
	assert_true(str_ends(buf_str(&kit->boot_log), STR("line\nthe end\n")));
}

static void
a_boot_that_takes_too_long_is_ended(void **state)
{
	struct instance_spec spec = spec_new(1);
	struct kit *kit;

	spec.boot_ms = 1;
	kit = kit_new(&spec);
	fake_started(kit->sandbox);
	while (!kit->sandbox->was_asked)
		turn(kit);
	fake_gone(kit->sandbox, -9);
	assert_int_equal(kit->reason.code, ERR_TIMEOUT);
	assert_string_equal(kit->reason.text, "the function was not loaded within 1 ms");
	kit_free(kit);
}

static void
a_sandbox_that_cannot_be_set_up_says_why(void **state)
{
	struct instance_spec spec = spec_new(1);
	OWN(kit) struct kit *kit = kit_new(&spec);
	struct sandbox_exit exit = {0};
	struct sandbox *sandbox = kit->sandbox;

	err_set(&exit.failure, ERR_SYSTEM, "mounting /proc: Permission denied");
	sandbox->request.on_gone(sandbox, &exit, sandbox->request.arg);
	sandbox->request.on_gone = NULL;
	list_remove(&sandbox->link);
	close(sandbox->channel);
	close(sandbox->out);
	close(sandbox->error);
	free(sandbox);
	assert_int_equal(kit->reason.code, ERR_SYSTEM);
	assert_string_equal(
		kit->reason.text, "starting the sandbox: mounting /proc: Permission denied");
}

static void
a_spawner_that_refuses_is_told_at_once(void **state)
{
	struct instance_spec spec = spec_new(1);
	struct instance_events events = {0};
	struct spawner *spawner = fake_spawner_new();
	struct instance *instance;
	struct loop *loop;
	struct err err = {0};

	thread_on_loop();
	assert_int_equal(loop_new(&loop, &err), 0);
	spawner->refuses = ERR_UNAVAILABLE;
	assert_int_equal(
		instance_start(loop, spawner, &spec, &events, &instance, &err), ERR_UNAVAILABLE);
	loop_free(loop);
	fake_spawner_free(spawner);
}

/* ---- calls ---- */

static void
a_call_reaches_the_function_as_it_was_given(void **state)
{
	OWN(kit) struct kit *kit = kit_ready(1);
	OWN(buf) struct buf got = BUF_INIT;
	struct frame_call frame;
	struct frame_head head;
	TOLD(told);

	told.call.head = STR("{\"a\":1}");
	send_call(kit, &told, STR("body"));
	assert_true(fake_receive(kit->sandbox, &head, &got));
	buf_clear(&got);
	assert_true(fake_receive(kit->sandbox, &head, &got));
	assert_int_equal(head.kind, FRAME_CALL);
	assert_int_equal(head.call, told.call.number);
	memcpy(&frame, got.at, sizeof(frame));
	assert_memory_equal(frame.call_id, "01ARZ3NDEKTSV4RRFFQ69G5FAV", 26);
	assert_int_equal(frame.trigger, FRAME_DIRECT);
	assert_int_equal(frame.deadline_unix_ms, 123456789);
	assert_int_equal(frame.head_size, 7);
	assert_string_equal(got.at + sizeof(frame), "{\"a\":1}body");
	assert_false(instance_has_room(kit->instance));
	assert_int_equal(instance_n_calls(kit->instance), 1);
	answer(kit, &told, "200\n", STR_NONE);
}

static void
every_call_gets_other_random_bytes(void **state)
{
	OWN(kit) struct kit *kit = kit_ready(2);
	OWN(buf) struct buf got = BUF_INIT;
	struct frame_head head;
	TOLD(a);
	TOLD(b);

	send_call(kit, &a, STR_NONE);
	send_call(kit, &b, STR_NONE);
	while (fake_receive(kit->sandbox, &head, &got))
		if (head.kind == FRAME_INIT)
			buf_clear(&got);
	assert_int_equal(got.len, 2 * sizeof(struct frame_call));
	assert_memory_not_equal(got.at, got.at + sizeof(struct frame_call), 32);
	answer(kit, &a, "200\n", STR_NONE);
	answer(kit, &b, "200\n", STR_NONE);
}

static void
an_answer_in_one_piece_is_known_as_such(void **state)
{
	OWN(kit) struct kit *kit = kit_ready(1);
	TOLD(told);

	send_call(kit, &told, STR_NONE);
	answer(kit, &told, "201\na:b\n", STR("hi"));
	assert_int_equal(told.status, 201);
	assert_int_equal(told.n_headers, 1);
	assert_int_equal(told.n_whole, 1);
	assert_str(buf_str(&told.body), "hi");
	assert_int_equal(told.n_ends, 1);
	assert_true(instance_has_room(kit->instance));
	assert_int_equal(instance_n_served(kit->instance), 1);
}

static void
an_answer_may_come_as_a_stream(void **state)
{
	OWN(kit) struct kit *kit = kit_ready(1);
	TOLD(told);

	send_call(kit, &told, STR_NONE);
	fake_send(kit->sandbox, FRAME_ANSWER_HEAD, 0, told.call.number, STR("200\n"));
	fake_send(kit->sandbox, FRAME_ANSWER_BODY, 0, told.call.number, STR("one "));
	turn(kit);
	assert_str(buf_str(&told.body), "one ");
	assert_int_equal(told.n_whole, 0);
	fake_send(kit->sandbox, FRAME_ANSWER_BODY, 0, told.call.number, STR("two"));
	fake_send(kit->sandbox, FRAME_ANSWER_END, 0, told.call.number, STR_NONE);
	turn(kit);
	assert_str(buf_str(&told.body), "one two");
	assert_int_equal(told.n_ends, 1);
}

static void
a_long_answer_is_handed_on_in_parts(void **state)
{
	OWN(kit) struct kit *kit = kit_ready(1);
	OWN(buf) struct buf bytes = BUF_INIT;
	struct frame_head head = {.kind = FRAME_ANSWER};
	uint32_t head_size = 4;
	TOLD(told);

	send_call(kit, &told, STR_NONE);
	head.call = told.call.number;
	head.size = 8 + 900000;
	buf_add(&bytes, &head, sizeof(head));
	buf_add(&bytes, &head_size, sizeof(head_size));
	buf_add_text(&bytes, "200\n");
	for (int i = 0; i < 900000; i++)
		buf_add_char(&bytes, (char)i);
	for (size_t at = 0; at < bytes.len;) {
		ssize_t n = write(kit->sandbox->channel, bytes.at + at, bytes.len - at);

		at += n > 0 ? (size_t)n : 0;
		turn(kit);
	}
	turn(kit);
	assert_int_equal(told.n_ends, 1);
	assert_int_equal(told.n_whole, 0);
	assert_int_equal(told.body.len, 900000);
	assert_memory_equal(told.body.at, bytes.at + sizeof(head) + 8, 900000);
}

static void
several_calls_are_told_apart(void **state)
{
	OWN(kit) struct kit *kit = kit_ready(3);
	struct told told[3] = {0};

	for (int i = 0; i < 3; i++)
		send_call(kit, &told[i], STR_NONE);
	assert_false(instance_has_room(kit->instance));
	answer(kit, &told[1], "200\n", STR("b"));
	answer(kit, &told[2], "200\n", STR("c"));
	answer(kit, &told[0], "200\n", STR("a"));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(told[i].n_ends, 1);
		assert_int_equal(told[i].body.at[0], 'a' + i);
		told_done(&told[i]);
	}
}

static void
what_comes_for_a_call_that_is_over_is_dropped(void **state)
{
	OWN(kit) struct kit *kit = kit_ready(1);
	TOLD(first);
	TOLD(second);

	send_call(kit, &first, STR_NONE);
	answer(kit, &first, "200\n", STR("1"));
	send_call(kit, &second, STR_NONE);
	answer(kit, &first, "200\n", STR("again"));
	assert_int_equal(first.n_ends, 1);
	assert_int_equal(second.n_ends, 0);
	answer(kit, &second, "200\n", STR("2"));
	assert_str(buf_str(&second.body), "2");
	assert_int_equal(second.n_ends, 1);
}

/* ---- log ---- */

static void
what_is_printed_before_the_answer_is_of_the_call(void **state)
{
	OWN(kit) struct kit *kit = kit_ready(1);
	TOLD(told);

	send_call(kit, &told, STR_NONE);
	fake_print(kit->sandbox, false, "out\n");
	fake_print(kit->sandbox, true, "err\n");
	answer(kit, &told, "200\n", STR_NONE);
	assert_int_equal(told.n_ends, 1);
	assert_str(buf_str(&told.log), "O:out\nE:err\n");
}

static void
what_is_printed_between_calls_goes_to_the_next(void **state)
{
	OWN(kit) struct kit *kit = kit_ready(1);
	TOLD(first);
	TOLD(second);

	send_call(kit, &first, STR_NONE);
	answer(kit, &first, "200\n", STR_NONE);
	fake_print(kit->sandbox, false, "late\n");
	turn(kit);
	send_call(kit, &second, STR_NONE);
	answer(kit, &second, "200\n", STR_NONE);
	assert_int_equal(first.log.len, 0);
	assert_str(buf_str(&second.log), "O:late\n");
}

static void
log_frames_say_whose_they_are(void **state)
{
	OWN(kit) struct kit *kit = kit_ready(2);
	TOLD(a);
	TOLD(b);

	send_call(kit, &a, STR_NONE);
	send_call(kit, &b, STR_NONE);
	fake_send(kit->sandbox, FRAME_LOG, FRAME_STDERR, b.call.number, STR("b"));
	fake_send(kit->sandbox, FRAME_LOG, FRAME_STDOUT, a.call.number, STR("a"));
	turn(kit);
	assert_str(buf_str(&a.log), "O:a");
	assert_str(buf_str(&b.log), "E:b");
	answer(kit, &a, "200\n", STR_NONE);
	answer(kit, &b, "200\n", STR_NONE);
}

static void
a_log_is_cut_at_its_limit(void **state)
{
	OWN(kit) struct kit *kit = kit_ready(1);
	TOLD(told);

	send_call(kit, &told, STR_NONE);
	for (int i = 0; i < 30; i++)
		fake_print(kit->sandbox, false, "0123456789");
	answer(kit, &told, "200\n", STR_NONE);
	assert_int_equal(told.log.len, 2 + 100);
	assert_true(told.call.is_log_truncated);
	assert_int_equal(told.n_ends, 1);
}

static void
a_flood_ends_the_call_and_the_instance(void **state)
{
	OWN(kit) struct kit *kit = kit_ready(1);
	OWN(mem) char *line = mem_new(4097);
	TOLD(told);

	memset(line, 'x', 4096);
	send_call(kit, &told, STR_NONE);
	for (int i = 0; i < 300 && !told.n_failures; i++) {
		fake_print(kit->sandbox, true, line);
		turn(kit);
	}
	assert_int_equal(told.n_failures, 1);
	assert_int_equal(told.reason.code, ERR_LOG_EXCEEDED);
	assert_int_equal(told.log.len, 2 + 100);
	assert_true(kit->sandbox->was_asked);
}

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

/* ---- measure ---- */

static void
cpu_time_is_of_the_call(void **state)
{
	OWN(kit) struct kit *kit = kit_ready(1);
	TOLD(first);
	TOLD(second);

	kit->sandbox->usage.cpu_us = 40000;
	send_call(kit, &first, STR_NONE);
	kit->sandbox->usage.cpu_us += 1500;
	answer(kit, &first, "200\n", STR_NONE);
	kit->sandbox->usage.cpu_us += 10000;
	for (uint64_t until_us = clock_mono_us() + 5000; clock_mono_us() < until_us;)
		turn(kit);
	send_call(kit, &second, STR_NONE);
	kit->sandbox->usage.cpu_us += 200;
	thread_on_loop();
	assert_int_equal(instance_call_cpu_us(&second.call), 200);
	turn(kit);
	kit->sandbox->usage.cpu_us += 50;
	answer(kit, &second, "200\n", STR_NONE);
	assert_int_equal(first.call.measure.cpu_us, 1500);
	assert_int_equal(second.call.measure.cpu_us, 250);
}

static void
calls_in_flight_share_cpu_time(void **state)
{
	OWN(kit) struct kit *kit = kit_ready(2);
	TOLD(a);
	TOLD(b);

	send_call(kit, &a, STR_NONE);
	kit->sandbox->usage.cpu_us += 1000;
	send_call(kit, &b, STR_NONE);
	kit->sandbox->usage.cpu_us += 1000;
	answer(kit, &a, "200\n", STR_NONE);
	kit->sandbox->usage.cpu_us += 1000;
	answer(kit, &b, "200\n", STR_NONE);
	assert_int_equal(a.call.measure.cpu_us, 1500);
	assert_int_equal(b.call.measure.cpu_us, 1500);
}

static void
the_peak_is_reset_after_a_call_that_raised_it(void **state)
{
	OWN(kit) struct kit *kit = kit_ready(1);
	unsigned before;
	TOLD(small);
	TOLD(large);
	TOLD(last);

	send_call(kit, &small, STR_NONE);
	answer(kit, &small, "200\n", STR_NONE);
	before = kit->sandbox->n_peak_resets;
	send_call(kit, &large, STR_NONE);
	assert_int_equal(kit->sandbox->n_peak_resets, before);
	kit->sandbox->usage.memory_peak_bytes = 60 << 20;
	answer(kit, &large, "200\n", STR_NONE);
	assert_int_equal(large.call.measure.memory_peak_bytes, 60 << 20);
	send_call(kit, &last, STR_NONE);
	assert_int_equal(kit->sandbox->n_peak_resets, before + 1);
	answer(kit, &last, "200\n", STR_NONE);
}

UNIT_TESTS(it(it_gets_its_environment_before_anything_else),
	it(it_is_ready_when_it_was_started_and_has_loaded),
	it(a_handler_that_cannot_be_loaded_gives_the_words_of_the_runtime),
	it(an_exit_while_it_boots_says_how_and_shows_what_was_printed),
	it(of_a_long_boot_log_the_end_is_kept), it(a_boot_that_takes_too_long_is_ended),
	it(a_sandbox_that_cannot_be_set_up_says_why), it(a_spawner_that_refuses_is_told_at_once),
	it(a_call_reaches_the_function_as_it_was_given), it(every_call_gets_other_random_bytes),
	it(an_answer_in_one_piece_is_known_as_such), it(an_answer_may_come_as_a_stream),
	it(a_long_answer_is_handed_on_in_parts), it(several_calls_are_told_apart),
	it(what_comes_for_a_call_that_is_over_is_dropped),
	it(what_is_printed_before_the_answer_is_of_the_call),
	it(what_is_printed_between_calls_goes_to_the_next), it(log_frames_say_whose_they_are),
	it(a_log_is_cut_at_its_limit), it(a_flood_ends_the_call_and_the_instance),
	it(an_error_names_the_limit_that_it_comes_from),
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
	it(a_retired_instance_ends_with_its_last_call), it(a_paused_answer_waits_for_its_client),
	it(cpu_time_is_of_the_call), it(calls_in_flight_share_cpu_time),
	it(the_peak_is_reset_after_a_call_that_raised_it))
