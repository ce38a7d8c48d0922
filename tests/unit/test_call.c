/* SPDX-License-Identifier: Apache-2.0 */
#include "call_kit.h"
#include "domain/call_list.h"

#include <string.h>

#include "base/clock.h"

/* What a caller was told. */
struct told {
	struct call *call;
	bool is_over, was_whole;
	unsigned n_heads, n_told;
	int status;
	struct buf body, trace;
	struct err reason;
	struct call_figures figures;
	struct kit *more; /* its sandbox uses more behind the answer; borrowed */
};

static void
on_head(struct call *call, int status, const struct http_header *headers, size_t n, void *arg)
{
	struct told *told = arg;

	told->n_heads++;
	told->status = status;
	told->was_whole = call_whole(call) != NULL;
}

static void
on_body(struct call *call, struct str bytes, void *arg)
{
	buf_add_str(&((struct told *)arg)->body, bytes);
}

static void
end(struct told *told, const struct call_figures *figures)
{
	told->n_told++;
	told->is_over = true;
	told->call = NULL;
	told->figures = *figures;
	if (told->more)
		fake_last(told->more->spawner)->usage.cpu_us += 250;
}

static void
on_end(struct call *call, const struct call_figures *figures, void *arg)
{
	end(arg, figures);
}

static void
on_failure(struct call *call, const struct err *reason, struct str trace,
	const struct call_figures *figures, void *arg)
{
	struct told *told = arg;

	told->reason = *reason;
	buf_add_str(&told->trace, trace);
	end(told, figures);
}

static const struct err *refusal; /* of the next request */

static void
start_version(struct kit *kit, struct version *version, struct told *told, const char *body)
{
	const struct call_events events = {on_head, on_body, on_end, on_failure, told};
	struct call_request request = {
		.function = version ? version->function : kit->function,
		.version = version,
		.trigger = FRAME_HTTP,
		.method = STR("POST"),
		.path = STR("/api/org/acme/hello?secret=1"),
		.head = STR("{}"),
		.body = body ? str_dup(str_of(body)) : NULL,
		.body_len = body ? strlen(body) : 0,
		.refusal = refusal,
	};
	struct call *call;

	thread_on_loop();
	id_ulid(request.id);
	call = call_start(&kit->domain, &request, &events);
	if (call)
		told->call = call;
}

static void
start(struct kit *kit, struct told *told, const char *body)
{
	start_version(kit, NULL, told, body);
}

static void
told_done(struct told *told)
{
	buf_done(&told->body);
	buf_done(&told->trace);
}

#define TOLD(name) __attribute__((cleanup(told_done))) struct told name = {0}

static void
nothing_is_left(struct kit *kit)
{
	struct pool_stats stats = kit_stats(kit->version);

	assert_int_equal(kit->function->n_calls, 0);
	assert_int_equal(kit->version->n_users, 0);
	assert_int_equal(kit->domain.calls.len, 0);
	assert_int_equal(kit->domain.queue_bytes, 0);
	assert_int_equal(stats.n_waiting, 0);
	assert_int_equal(stats.n_running, 0);
}

static uint64_t
n_records(struct kit *kit)
{
	struct record_stats stats;

	thread_on_loop();
	record_stats(kit->domain.records, &stats);
	return stats.n_records;
}

static const char *
text_of(const json_t *record, const char *key)
{
	return json_string_value(json_object_get(record, key));
}

/* ---- the road ---- */

static void
a_call_is_answered_measured_and_recorded(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	OWN(json) json_t *records = NULL;
	const json_t *record, *line;
	TOLD(told);

	start(kit, &told, "ping");
	assert_non_null(told.call);
	kit_until(kit, &told.is_over);
	assert_int_equal(told.status, 200);
	assert_true(told.was_whole);
	assert_str(buf_str(&told.body), "ping");
	assert_int_equal(told.figures.cpu_us, 100);
	assert_int_equal(told.figures.bytes_in, 4);
	assert_int_equal(told.figures.bytes_out, 4);
	assert_int_equal(told.figures.version, 1);
	assert_true(told.figures.is_cold);
	assert_true(told.figures.memory_peak_bytes == 30 << 20);
	nothing_is_left(kit);
	records = kit_records(kit);
	assert_int_equal(json_array_size(records), 1);
	record = json_array_get(records, 0);
	assert_string_equal(text_of(record, "code"), "ok");
	assert_string_equal(text_of(record, "path"), "/api/org/acme/hello");
	assert_string_equal(text_of(record, "method"), "POST");
	assert_string_equal(text_of(record, "trigger"), "http");
	assert_int_equal(json_integer_value(json_object_get(record, "status")), 200);
	assert_int_equal(json_integer_value(json_object_get(record, "cpu_us")), 100);
	assert_true(json_is_true(json_object_get(record, "cold")));
	assert_int_equal(json_array_size(json_object_get(record, "log")), 1);
	line = json_array_get(json_object_get(record, "log"), 0);
	assert_string_equal(text_of(line, "m"), "hello");
	assert_string_equal(text_of(line, "s"), "out");
}

static void
a_warm_call_is_sent_before_it_is_given(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	TOLD(cold);
	TOLD(warm);

	start(kit, &cold, NULL);
	kit_until(kit, &cold.is_over);
	start(kit, &warm, "x");
	assert_int_equal(kit_stats(kit->version).n_running, 1);
	kit_until(kit, &warm.is_over);
	assert_false(warm.figures.is_cold);
	assert_int_equal(kit_stats(kit->version).n_started, 1);
}

static void
failing_calls_give_their_room_back(void **state)
{
	static const enum fake_behaviour ways[] = {
		FAKE_ERRS, FAKE_EXITS, FAKE_FLOODS, FAKE_FAILS_TO_LOAD};
	static const int codes[] = {
		ERR_FUNCTION, ERR_FUNCTION_EXITED, ERR_LOG_EXCEEDED, ERR_FUNCTION_FAILED};

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		OWN(kit) struct kit *kit = kit_new();
		struct told told[8] = {0};

		kit->version->config.limits.log_bytes = 1000;
		kit->spawner->behaviour = ways[i];
		for (int k = 0; k < 8; k++)
			start(kit, &told[k], "body");
		for (int k = 0; k < 8; k++) {
			kit_until(kit, &told[k].is_over);
			assert_int_equal(told[k].n_told, 1);
			assert_int_equal(told[k].reason.code, codes[i]);
			told_done(&told[k]);
		}
		nothing_is_left(kit);
		assert_int_equal(n_records(kit), 8);
	}
}

static void
the_trace_of_an_error_is_told_and_logged(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	OWN(json) json_t *records = NULL;
	const json_t *record;
	TOLD(told);

	kit->spawner->behaviour = FAKE_ERRS;
	start(kit, &told, NULL);
	kit_until(kit, &told.is_over);
	assert_string_equal(told.reason.text, "TypeError: no");
	assert_str(buf_str(&told.trace), "at here\n");
	records = kit_records(kit);
	record = json_array_get(records, 0);
	assert_string_equal(text_of(record, "code"), "function_error");
	assert_string_equal(text_of(record, "message"), "TypeError: no");
	assert_int_equal(json_integer_value(json_object_get(record, "status")), 502);
	assert_string_equal(
		text_of(json_array_get(json_object_get(record, "log"), 0), "m"), "at here");
}

static void
an_answer_that_breaks_off_is_a_failure_after_its_head(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	TOLD(told);

	kit->spawner->behaviour = FAKE_STREAMS;
	start(kit, &told, NULL);
	while (told.n_heads == 0)
		kit_turn(kit);
	assert_false(told.was_whole);
	kit->spawner->behaviour = FAKE_EXITS;
	kit_until(kit, &told.is_over);
	assert_str(buf_str(&told.body), "part");
	assert_int_equal(told.reason.code, ERR_FUNCTION_EXITED);
	nothing_is_left(kit);
}

/* ---- refused ---- */

static void
refused(struct kit *kit, const char *body, int code, const char *why)
{
	uint64_t before = n_records(kit);
	TOLD(told);

	start(kit, &told, body);
	assert_null(told.call);
	assert_int_equal(told.n_told, 1);
	assert_int_equal(told.reason.code, code);
	assert_non_null(strstr(told.reason.text, why));
	assert_int_equal(n_records(kit), before + 1);
	nothing_is_left(kit);
}

static void
what_cannot_be_served_is_refused_at_once_with_a_record(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	OWN(json) json_t *records = NULL;

	kit->version->config.limits.request_bytes = 3;
	refused(kit, "1234", ERR_TOO_LARGE, "has 4 bytes, the function takes 3");
	kit->function->active = NULL;
	kit->version->state = VERSION_INITIALIZING;
	refused(kit, NULL, ERR_NOT_READY, "not ready");
	kit->version->state = VERSION_FAILED;
	free(kit->version->reason);
	kit->version->reason = str_dup(STR("no such file"));
	refused(kit, NULL, ERR_FUNCTION_FAILED, "version 1 could not be made ready: no such file");
	kit->version->state = VERSION_READY;
	kit->function->active = kit->version;
	kit->domain.config.queue_calls = 0;
	refused(kit, NULL, ERR_RATE, "waiting");
	kit->domain.is_stopping = true;
	refused(kit, NULL, ERR_UNAVAILABLE, "stopping");
	kit->domain.is_stopping = false;
	records = kit_records(kit);
	assert_int_equal(json_array_size(records), 5);
	assert_int_equal(kit->spawner->n_asked, 0);
}

static void
what_the_trigger_could_not_take_is_a_call_with_a_record(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	OWN(json) json_t *records = NULL;
	struct err reason = {0};

	err_set(&reason, ERR_TOO_LARGE, "more than it may have");
	refusal = &reason;
	refused(kit, NULL, ERR_TOO_LARGE, "more than it may have");
	kit->version->state = VERSION_INITIALIZING;
	refused(kit, NULL, ERR_NOT_READY, "not ready");
	kit->version->state = VERSION_READY;
	refusal = NULL;
	records = kit_records(kit);
	assert_string_equal(text_of(json_array_get(records, 1), "code"), "request_too_large");
	assert_int_equal(kit->spawner->n_asked, 0);
}

static void
a_refusal_says_when_to_come_back(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	TOLD(told);

	kit->domain.config.queue_calls = 0;
	start(kit, &told, NULL);
	assert_int_equal(told.reason.code, ERR_RATE);
	assert_true(told.figures.retry_after_s >= 1);
}

static void
a_version_can_be_asked_for(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct version *second = kit_version(kit, "hello");
	TOLD(told);

	assert_ptr_equal(kit->function->active, second);
	start_version(kit, kit->version, &told, NULL);
	kit_until(kit, &told.is_over);
	assert_int_equal(told.figures.version, 1);
	assert_int_equal(kit_stats(second).n_started, 0);
}

/* ---- cancelled ---- */

static void
a_waiting_call_can_be_cancelled(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	OWN(json) json_t *records = NULL;
	TOLD(told);

	kit->spawner->behaviour = FAKE_HANGS_IN_BOOT;
	start(kit, &told, "body");
	kit_turn(kit);
	assert_int_equal(kit->domain.queue_bytes, 4);
	thread_on_loop();
	assert_ptr_equal(
		call_find(&kit->domain, STR("acme"), str_of(call_id(told.call))), told.call);
	assert_null(call_find(&kit->domain, STR("other"), str_of(call_id(told.call))));
	call_cancel(told.call);
	assert_int_equal(told.reason.code, ERR_CANCELLED);
	assert_int_equal(told.figures.wall_us, 0);
	nothing_is_left(kit);
	records = kit_records(kit);
	assert_string_equal(text_of(json_array_get(records, 0), "code"), "cancelled");
}

static void
calls_in_flight_are_listed_the_newest_first(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	OWN(json) json_t *all = NULL, *two = NULL, *other = NULL;
	struct told told[6] = {0};

	kit->spawner->behaviour = FAKE_HOLDS;
	for (int i = 0; i < 6; i++)
		start(kit, &told[i], NULL);
	while (kit_stats(kit->version).n_running < 4)
		kit_turn(kit);
	thread_on_loop();
	all = call_list(&kit->domain, STR("acme"), STR(""), 10);
	two = call_list(&kit->domain, STR("acme"), STR("hello"), 2);
	other = call_list(&kit->domain, STR("acme"), STR("other"), 10);
	assert_int_equal(json_array_size(all), 6);
	assert_int_equal(json_array_size(two), 2);
	assert_int_equal(json_array_size(other), 0);
	for (size_t i = 0; i < 6; i++) {
		const json_t *call = json_array_get(all, i);

		assert_string_equal(text_of(call, "id"), call_id(told[5 - i].call));
		assert_string_equal(text_of(call, "state"), i < 2 ? "waiting" : "running");
	}
	assert_string_equal(text_of(json_array_get(all, 0), "path"), "/api/org/acme/hello");
	for (int i = 0; i < 6; i++)
		call_cancel(told[i].call);
	nothing_is_left(kit);
	for (int i = 0; i < 6; i++)
		told_done(&told[i]);
}

static void
a_running_call_can_be_cancelled(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	TOLD(told);
	TOLD(next);

	kit->spawner->behaviour = FAKE_HOLDS;
	start(kit, &told, NULL);
	while (kit_stats(kit->version).n_running == 0)
		kit_turn(kit);
	kit_turn(kit);
	thread_on_loop();
	call_cancel(told.call);
	assert_int_equal(told.n_told, 1);
	nothing_is_left(kit);
	kit->spawner->behaviour = FAKE_ANSWERS;
	start(kit, &next, "again");
	kit_until(kit, &next.is_over);
	assert_str(buf_str(&next.body), "again");
}

static void
a_client_that_leaves_cancels_its_call(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	TOLD(told);

	kit->spawner->behaviour = FAKE_STREAMS;
	start(kit, &told, NULL);
	while (told.n_heads == 0)
		kit_turn(kit);
	thread_on_loop();
	call_leave(told.call);
	nothing_is_left(kit);
	kit_turn(kit);
	assert_int_equal(told.n_told, 0);
	assert_int_equal(n_records(kit), 1);
	assert_int_equal(kit->domain.n_instances, 0);
}

static void
a_call_may_outlive_its_client(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	OWN(json) json_t *records = NULL;
	TOLD(told);

	kit->version->config.is_kept_on_disconnect = true;
	start(kit, &told, "x");
	thread_on_loop();
	call_leave(told.call);
	assert_int_equal(kit->function->n_calls, 1);
	while (kit->function->n_calls)
		kit_turn(kit);
	assert_int_equal(told.n_told + told.n_heads, 0);
	records = kit_records(kit);
	assert_string_equal(text_of(json_array_get(records, 0), "code"), "ok");
}

/* ---- time ---- */

static void ON_LOOP
a_deadline_that_passes_while_it_waits_says_so(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	TOLD(first);
	TOLD(second);

	kit->domain.config.queue_ms = 60;
	kit->version->config.max_instances = 1;
	kit->spawner->behaviour = FAKE_HOLDS;
	start(kit, &first, NULL);
	kit_wait_ms(kit, 20);
	kit->spawner->behaviour = FAKE_HANGS_IN_BOOT;
	start(kit, &second, "body");
	kit_until(kit, &second.is_over);
	assert_int_equal(second.reason.code, ERR_RATE);
	assert_non_null(strstr(second.reason.text, "were busy"));
	assert_true(second.figures.retry_after_s > 0);
	assert_true(second.figures.queue_us >= 60000);
	assert_int_equal(second.figures.wall_us, 0);
	call_cancel(first.call);
	nothing_is_left(kit);
}

static void ON_LOOP
a_short_time_limit_is_not_lost_to_the_start_of_an_instance(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	TOLD(told);

	kit->version->config.limits.timeout_ms = 5;
	kit->spawner->behaviour = FAKE_HANGS_IN_BOOT;
	start(kit, &told, NULL);
	kit_wait_ms(kit, 50);
	assert_false(told.is_over);
	call_cancel(told.call);
	assert_true(told.is_over);
	nothing_is_left(kit);
}

static void
a_deadline_that_passes_in_the_function_ends_the_call(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	TOLD(told);

	kit->version->config.limits.timeout_ms = 50;
	kit->spawner->behaviour = FAKE_HOLDS;
	start(kit, &told, NULL);
	kit_until(kit, &told.is_over);
	assert_int_equal(told.reason.code, ERR_TIMEOUT);
	assert_non_null(strstr(told.reason.text, "within"));
	nothing_is_left(kit);
}

static void
a_late_answer_is_nobodys_and_harms_no_neighbour(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	uint64_t late_number;
	TOLD(late);
	TOLD(fine);

	kit->version->config.limits.timeout_ms = 300;
	kit->version->config.concurrency = 2;
	kit->spawner->behaviour = FAKE_HOLDS;
	start(kit, &late, NULL);
	kit_wait_ms(kit, 200);
	late_number = fake_last(kit->spawner)->held_call;
	start(kit, &fine, NULL);
	kit_until(kit, &late.is_over);
	assert_int_equal(late.reason.code, ERR_TIMEOUT);
	assert_true(late.figures.wall_us > 0);
	assert_false(fine.is_over);
	fake_answer(fake_last(kit->spawner), late_number, "200\n", STR("late"));
	kit_turn(kit);
	assert_int_equal(late.n_told, 1);
	assert_int_equal(late.n_heads, 0);
	fake_answer(
		fake_last(kit->spawner), fake_last(kit->spawner)->held_call, "200\n", STR("fine"));
	kit_until(kit, &fine.is_over);
	assert_str(buf_str(&fine.body), "fine");
	kit_turn(kit);
	kit_turn(kit);
	assert_int_equal(kit->domain.n_instances, 0);
}

static void
cpu_time_over_the_budget_ends_the_call(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	TOLD(told);

	kit->version->config.limits.cpu_ms = 20;
	kit->spawner->behaviour = FAKE_HOLDS;
	start(kit, &told, NULL);
	kit_wait_ms(kit, 100);
	assert_false(told.is_over);
	fake_last(kit->spawner)->usage.cpu_us += 19000;
	kit_wait_ms(kit, 50);
	assert_false(told.is_over);
	fake_last(kit->spawner)->usage.cpu_us += 2000;
	kit_until(kit, &told.is_over);
	assert_int_equal(told.reason.code, ERR_CPU_EXCEEDED);
	assert_int_equal(told.figures.cpu_us, 21100);
	nothing_is_left(kit);
}

static void
behave_and_use_more(enum fake_behaviour behaviour, const char *code, const char *message)
{
	OWN(kit) struct kit *kit = kit_new();
	OWN(json) json_t *records = NULL;
	const json_t *record;
	TOLD(told);

	kit->version->mechanism = MECHANISM_ROLLBACK;
	kit->version->config.concurrency = 1;
	kit->spawner->has_keepers = true;
	kit->spawner->behaviour = behaviour;
	told.more = kit;
	start(kit, &told, NULL);
	kit_until(kit, &told.is_over);
	assert_int_equal(told.n_told, 1);
	assert_int_equal(told.figures.cpu_us, 100);
	kit_wait_ms(kit, 10);
	nothing_is_left(kit);
	records = kit_records(kit);
	assert_int_equal(json_array_size(records), 1);
	record = json_array_get(records, 0);
	assert_int_equal(json_integer_value(json_object_get(record, "cpu_us")), 350);
	assert_string_equal(text_of(record, "code"), code);
	assert_string_equal(text_of(record, "message"), message);
}

static void
its_record_has_what_is_counted_only_behind_the_answer(void **state)
{
	behave_and_use_more(FAKE_ANSWERS, "ok", "");
	behave_and_use_more(FAKE_ERRS, "function_error", "TypeError: no");
}

/* ---- log ---- */

static void
a_flood_is_cut_in_the_record(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	OWN(json) json_t *records = NULL;
	const json_t *record;
	TOLD(told);

	kit->version->config.limits.log_bytes = 10000;
	kit->spawner->behaviour = FAKE_FLOODS;
	start(kit, &told, NULL);
	kit_until(kit, &told.is_over);
	assert_int_equal(told.reason.code, ERR_LOG_EXCEEDED);
	records = kit_records(kit);
	record = json_array_get(records, 0);
	assert_true(json_is_true(json_object_get(record, "log_truncated")));
	assert_int_equal(json_array_size(json_object_get(record, "log")), 3);
}

struct follower {
	struct record_follow follow;
	struct buf seen;
};

static void
on_line(struct record_follow *follow, const char *id, struct str function, bool is_stderr,
	struct str line, uint64_t when_ms)
{
	struct follower *follower = list_owner(follow, struct follower, follow);

	buf_printf(&follower->seen, "%.*s %.*s;", STR_ARG(function), STR_ARG(line));
}

static void
on_record(struct record_follow *follow, const struct row_call *row)
{
	buf_printf(&list_owner(follow, struct follower, follow)->seen, "%s %s;", row->function,
		row->code);
}

static void
followers_see_lines_and_records_of_what_they_follow(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct version *other = kit_version(kit, "other");
	struct follower one = {.follow = {.on_line = on_line, .on_record = on_record}};
	struct follower all = {.follow = {.on_line = on_line, .on_record = on_record}};
	TOLD(first);
	TOLD(second);

	thread_on_loop();
	memcpy(one.follow.org, "acme", 5);
	memcpy(one.follow.function, "hello", 6);
	memcpy(all.follow.org, "acme", 5);
	record_follow(kit->domain.records, &one.follow);
	record_follow(kit->domain.records, &all.follow);
	start(kit, &first, NULL);
	kit_until(kit, &first.is_over);
	start_version(kit, other, &second, NULL);
	kit_until(kit, &second.is_over);
	assert_string_equal(one.seen.at, "hello hello;hello ok;");
	assert_string_equal(all.seen.at, "hello hello;hello ok;other hello;other ok;");
	record_unfollow(&one.follow);
	record_unfollow(&all.follow);
	buf_done(&one.seen);
	buf_done(&all.seen);
}

/* ---- everything at once ---- */

enum { N_TOLD = 40, N_OPERATIONS = 10000 };

static void
operate(struct kit *kit, struct told *told, unsigned choice)
{
	thread_on_loop();
	if (!told->call && choice < 60) {
		told_done(told);
		*told = (struct told){0};
		start(kit, told, choice % 2 ? "body" : NULL);
	} else if (told->call && choice < 10) {
		call_cancel(told->call);
	} else if (told->call && choice < 15) {
		call_leave(take_ptr(&told->call));
	} else if (told->call && choice < 25) {
		call_pause(told->call, choice % 2);
	} else if (choice >= 98) {
		kit->spawner->behaviour = FAKE_ANSWERS + choice * 7 % 6;
	}
}

static void
check(struct kit *kit)
{
	struct pool_stats stats = kit_stats(kit->version);

	assert_int_equal(kit->function->n_calls, stats.n_waiting + stats.n_running);
	assert_int_equal(kit->domain.calls.len, kit->function->n_calls);
	assert_int_equal(kit->version->n_users, kit->function->n_calls);
	assert_true(stats.n_starting + stats.n_ready <= 4);
	assert_true(stats.n_idle <= stats.n_ready);
	assert_true(stats.n_running <= stats.n_ready * 3 + 3 * 4);
}

static void
whatever_happens_nothing_is_left(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct told told[N_TOLD] = {0};
	unsigned seed = 7, n_started = 0;

	kit->version->config.concurrency = 3;
	kit->version->config.limits.timeout_ms = 40;
	kit->version->config.limits.log_bytes = 1000;
	kit->domain.config.queue_calls = 20;
	for (int i = 0; i < N_OPERATIONS; i++) {
		struct told *one = &told[rand_r(&seed) % N_TOLD];
		bool was_there = one->call != NULL;
		unsigned choice = (unsigned)rand_r(&seed) % 100;

		n_started += !was_there && choice < 60;
		operate(kit, one, choice);
		if (rand_r(&seed) % 3 == 0)
			kit_turn(kit);
		if (i % 2000 == 1999)
			kit->spawner->behaviour = FAKE_FAILS_TO_LOAD;
		if (i % 2000 == 300)
			kit->spawner->behaviour = FAKE_ANSWERS;
		check(kit);
	}
	while (kit->function->n_calls)
		kit_turn(kit);
	nothing_is_left(kit);
	assert_int_equal(n_records(kit), n_started);
	for (int i = 0; i < N_TOLD; i++) {
		assert_true(told[i].n_told <= 1);
		told_done(&told[i]);
	}
}

UNIT_TESTS(it(a_call_is_answered_measured_and_recorded), it(a_warm_call_is_sent_before_it_is_given),
	it(failing_calls_give_their_room_back), it(the_trace_of_an_error_is_told_and_logged),
	it(an_answer_that_breaks_off_is_a_failure_after_its_head),
	it(what_cannot_be_served_is_refused_at_once_with_a_record),
	it(what_the_trigger_could_not_take_is_a_call_with_a_record),
	it(a_refusal_says_when_to_come_back), it(a_version_can_be_asked_for),
	it(a_waiting_call_can_be_cancelled), it(calls_in_flight_are_listed_the_newest_first),
	it(a_running_call_can_be_cancelled), it(a_client_that_leaves_cancels_its_call),
	it(a_call_may_outlive_its_client), it(a_deadline_that_passes_while_it_waits_says_so),
	it(a_short_time_limit_is_not_lost_to_the_start_of_an_instance),
	it(a_deadline_that_passes_in_the_function_ends_the_call),
	it(a_late_answer_is_nobodys_and_harms_no_neighbour),
	it(cpu_time_over_the_budget_ends_the_call),
	it(its_record_has_what_is_counted_only_behind_the_answer), it(a_flood_is_cut_in_the_record),
	it(followers_see_lines_and_records_of_what_they_follow),
	it(whatever_happens_nothing_is_left))
