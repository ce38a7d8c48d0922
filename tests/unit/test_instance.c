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
	it(cpu_time_is_of_the_call), it(calls_in_flight_share_cpu_time),
	it(the_peak_is_reset_after_a_call_that_raised_it))
