/* SPDX-License-Identifier: Apache-2.0 */
/* What every implementation of rows.h must do with deliveries and their attempts. */
#include "store_unit.h"

#include <string.h>

#include "base/buf.h"

static struct rows *
with_functions(void) THREAD_ENTERS(thread_role_store)
{
	struct rows *rows = rows_open();

	add_function(rows, "acme", "a");
	add_function(rows, "acme", "b");
	return rows;
}

static void
add_at(struct rows *rows, const char *function, unsigned number, uint64_t due_ms) ON_STORE
{
	struct row_delivery delivery = delivery_of("acme", function, number);

	delivery.due_ms = due_ms;
	add_delivery(rows, &delivery);
}

/* It is kept until its number + 100. */
static void
end(struct rows *rows, unsigned number, enum row_delivery_state how) ON_STORE
{
	struct row_delivery delivery = delivery_of("acme", "", number);

	delivery.state = how;
	delivery.ended_ms = number + 50;
	delivery.due_ms = number + 100;
	ok(rows, row_delivery_update(&rows->db, &delivery, &rows->err));
}

/* What a list gave: the numbers joined by spaces. */
struct seen {
	char text[512];
	unsigned n, n_wanted; /* 0 wants all */
};

static bool
see(const struct row_delivery *row, void *arg)
{
	struct seen *seen = arg;
	size_t len = strlen(seen->text);

	snprintf(seen->text + len, sizeof(seen->text) - len, "%s%u", len ? " " : "",
		(unsigned)row->created_ms);
	return ++seen->n != seen->n_wanted;
}

static void
expect_next(struct rows *rows, uint64_t after_ms, unsigned after, uint64_t due_ms, unsigned n,
	const char *numbers) ON_STORE
{
	struct row_delivery last = delivery_of("acme", "a", after);
	struct seen seen = {""};

	ok(rows, row_delivery_next(&rows->db, "acme", "a", after_ms, after ? last.id : "", due_ms,
			 n, see, &seen, &rows->err));
	assert_string_equal(seen.text, numbers);
}

static void
expect_list(struct rows *rows, struct row_delivery_query query, const char *numbers) ON_STORE
{
	struct seen seen = {""};

	query.org = "acme";
	query.n = query.n ? query.n : 100;
	ok(rows, row_delivery_list(&rows->db, &query, see, &seen, &rows->err));
	assert_string_equal(seen.text, numbers);
}

/* ---- one ---- */

static struct row_delivery
full_delivery(void)
{
	return (struct row_delivery){
		.id = "01JABCDEFGHJKMNPQRSTVWXYZ0",
		.org = "acme",
		.function = "a",
		.version = 4000000000u,
		.state = ROW_DELIVERY_QUEUED,
		.origin = "destination",
		.source = "nightly",
		.frame = 200,
		.attempt = 3,
		.created_ms = 1700000000000,
		.due_ms = 1700000000001,
		.expires_ms = 1700000000002,
		.ended_ms = 1700000000003,
		.order_key = "order ü",
		.idempotency_key = "idem",
		.callback_url = "http://127.0.0.1/back",
		.method = "PATCH",
		.path = "/a/b",
		.head = {"{\0}", 3},
		.body = {"\0\xff body", 7},
		.status = 502,
		.code = "timeout",
		.message = "too late",
		.headers = "{\"a\":\"b\"}",
		.result = {"\xfe\0", 2},
		.hops = 3000000000u,
	};
}

static void
assert_bytes(struct str got, struct str want)
{
	assert_int_equal(got.len, want.len);
	assert_memory_equal(got.at, want.at, want.len);
}

static void
check_full(const struct row_delivery *row, void *arg)
{
	struct row_delivery want = full_delivery();

	++*(unsigned *)arg;
	assert_string_equal(row->id, want.id);
	assert_string_equal(row->org, want.org);
	assert_string_equal(row->function, want.function);
	assert_int_equal(row->version, want.version);
	assert_int_equal(row->state, want.state);
	assert_string_equal(row->origin, want.origin);
	assert_string_equal(row->source, want.source);
	assert_int_equal(row->frame, want.frame);
	assert_int_equal(row->attempt, want.attempt);
	assert_int_equal(row->created_ms, want.created_ms);
	assert_int_equal(row->due_ms, want.due_ms);
	assert_int_equal(row->expires_ms, want.expires_ms);
	assert_int_equal(row->ended_ms, want.ended_ms);
	assert_string_equal(row->order_key, want.order_key);
	assert_string_equal(row->idempotency_key, want.idempotency_key);
	assert_string_equal(row->callback_url, want.callback_url);
	assert_string_equal(row->method, want.method);
	assert_string_equal(row->path, want.path);
	assert_bytes(row->head, want.head);
	assert_bytes(row->body, want.body);
	assert_int_equal(row->status, want.status);
	assert_string_equal(row->code, want.code);
	assert_string_equal(row->message, want.message);
	assert_string_equal(row->headers, want.headers);
	assert_bytes(row->result, want.result);
	assert_int_equal(row->hops, want.hops);
}

static void
a_delivery_is_found_whole(void **state)
{
	OWN(rows) struct rows *rows = with_functions();
	struct row_delivery delivery = full_delivery();
	unsigned n = 0;

	add_delivery(rows, &delivery);
	ok(rows, row_delivery_find(&rows->db, "acme", delivery.id, check_full, &n, &rows->err));
	assert_int_equal(n, 1);
}

static void
a_delivery_is_not_found_by_another_org(void **state)
{
	OWN(rows) struct rows *rows = with_functions();
	struct row_delivery delivery = full_delivery();
	unsigned n = 0;

	add_org(rows, "bee");
	add_delivery(rows, &delivery);
	assert_int_equal(
		row_delivery_find(&rows->db, "bee", delivery.id, check_full, &n, &rows->err),
		ERR_NOT_FOUND);
	assert_int_equal(n, 0);
}

static void
check_outcome(const struct row_delivery *row, void *arg)
{
	++*(unsigned *)arg;
	assert_int_equal(row->state, ROW_DELIVERY_DEAD);
	assert_int_equal(row->attempt, 5);
	assert_int_equal(row->due_ms, 7);
	assert_int_equal(row->ended_ms, 8);
	assert_int_equal(row->status, 500);
	assert_string_equal(row->code, "function_error");
	assert_string_equal(row->message, "no");
	assert_string_equal(row->headers, "{}");
	assert_str(row->result, "answer");
	assert_str(row->body, "payload");
	assert_int_equal(row->created_ms, 1);
}

static void
an_update_writes_how_it_went_and_nothing_else(void **state)
{
	OWN(rows) struct rows *rows = with_functions();
	struct row_delivery delivery = {
		.state = ROW_DELIVERY_DEAD,
		.created_ms = 99,
		.attempt = 5,
		.due_ms = 7,
		.ended_ms = 8,
		.status = 500,
		.code = "function_error",
		.message = "no",
		.headers = "{}",
		.result = STR("answer"),
		.body = STR("another"),
	};
	unsigned n = 0;

	add_at(rows, "a", 1, 1);
	memcpy(delivery.id, delivery_of("acme", "a", 1).id, sizeof(delivery.id));
	ok(rows, row_delivery_update(&rows->db, &delivery, &rows->err));
	ok(rows, row_delivery_find(&rows->db, "acme", delivery.id, check_outcome, &n, &rows->err));
	assert_int_equal(n, 1);
	delivery.id[25] = '2';
	assert_int_equal(row_delivery_update(&rows->db, &delivery, &rows->err), ERR_NOT_FOUND);
}

static void
a_delivery_is_refused_twice_and_without_its_org(void **state)
{
	OWN(rows) struct rows *rows = with_functions();
	struct row_delivery delivery = delivery_of("acme", "a", 1);
	struct row_delivery stray = delivery_of("none", "a", 2);
	char known[ID_ULID_SIZE] = "";

	add_delivery(rows, &delivery);
	assert_int_equal(
		row_delivery_insert(&rows->db, &delivery, 0, known, &rows->err), ERR_CONFLICT);
	assert_string_equal(known, "");
	assert_int_equal(
		row_delivery_insert(&rows->db, &stray, 0, known, &rows->err), ERR_NOT_FOUND);
}

/* ---- idempotency ---- */

static int
insert_keyed(struct rows *rows, const char *function, unsigned number, const char *key,
	uint64_t since_ms, char ret_known[static ID_ULID_SIZE]) ON_STORE
{
	struct row_delivery delivery = delivery_of("acme", function, number);

	delivery.idempotency_key = key;
	return row_delivery_insert(&rows->db, &delivery, since_ms, ret_known, &rows->err);
}

static void
a_key_that_a_function_has_seen_lately_is_refused_with_what_it_was_for(void **state)
{
	OWN(rows) struct rows *rows = with_functions();
	char known[ID_ULID_SIZE] = "";

	ok(rows, insert_keyed(rows, "a", 100, "k", 0, known));
	end(rows, 100, ROW_DELIVERY_DONE);
	assert_int_equal(insert_keyed(rows, "a", 200, "k", 100, known), ERR_CONFLICT);
	assert_string_equal(known, delivery_of("acme", "a", 100).id);
	assert_string_equal(rows->err.field, "idempotency_key");
	ok(rows, insert_keyed(rows, "a", 201, "other", 100, known));
	ok(rows, insert_keyed(rows, "b", 202, "k", 100, known));
	ok(rows, insert_keyed(rows, "a", 203, "", 100, known));
	ok(rows, insert_keyed(rows, "a", 204, "", 100, known));
}

static void
a_key_may_be_used_again_when_its_time_is_over(void **state)
{
	OWN(rows) struct rows *rows = with_functions();
	char known[ID_ULID_SIZE] = "";

	ok(rows, insert_keyed(rows, "a", 100, "k", 0, known));
	ok(rows, insert_keyed(rows, "a", 200, "k", 101, known));
	assert_string_equal(known, "");
	assert_int_equal(insert_keyed(rows, "a", 300, "k", 101, known), ERR_CONFLICT);
	assert_string_equal(known, delivery_of("acme", "a", 200).id);
}

static void
a_key_of_a_call_by_route_is_another_than_that_of_a_call_with_a_token(void **state)
{
	OWN(rows) struct rows *rows = with_functions();
	struct row_delivery direct = delivery_of("acme", "a", 100);
	struct row_delivery by_route = delivery_of("acme", "a", 200);
	char known[ID_ULID_SIZE] = "";

	direct.idempotency_key = by_route.idempotency_key = "k";
	by_route.frame = direct.frame + 1;
	ok(rows, row_delivery_insert(&rows->db, &by_route, 0, known, &rows->err));
	ok(rows, row_delivery_insert(&rows->db, &direct, 0, known, &rows->err));
	memcpy(by_route.id, delivery_of("acme", "a", 300).id, sizeof(by_route.id));
	assert_int_equal(
		row_delivery_insert(&rows->db, &by_route, 0, known, &rows->err), ERR_CONFLICT);
	assert_string_equal(known, delivery_of("acme", "a", 200).id);
}

/* ---- what is queued ---- */

static void
what_is_queued_comes_by_due_time_and_then_by_id(void **state)
{
	OWN(rows) struct rows *rows = with_functions();

	add_at(rows, "a", 3, 50);
	add_at(rows, "a", 1, 50);
	add_at(rows, "a", 2, 10);
	add_at(rows, "a", 4, 60);
	add_at(rows, "b", 5, 10);
	expect_next(rows, 0, 0, 100, 100, "2 1 3 4");
	expect_next(rows, 0, 0, 50, 100, "2 1 3");
	expect_next(rows, 0, 0, 49, 100, "2");
	expect_next(rows, 0, 0, 9, 100, "");
	expect_next(rows, 0, 0, 100, 2, "2 1");
	expect_next(rows, 50, 1, 100, 100, "3 4");
	expect_next(rows, 50, 3, 100, 100, "4");
	expect_next(rows, 60, 4, 100, 100, "");
}

static void
what_has_ended_is_not_queued(void **state)
{
	OWN(rows) struct rows *rows = with_functions();

	for (unsigned i = 1; i <= 4; i++)
		add_at(rows, "a", i, i);
	end(rows, 1, ROW_DELIVERY_DONE);
	end(rows, 2, ROW_DELIVERY_DEAD);
	end(rows, 3, ROW_DELIVERY_CANCELLED);
	expect_next(rows, 0, 0, 100, 100, "4");
}

static bool
see_count(const struct row_delivery_count *count, void *arg)
{
	buf_printf(arg, "%s/%s %u %u %u %u;", count->org, count->function, (unsigned)count->n,
		(unsigned)count->n_bytes, (unsigned)count->oldest_ms,
		(unsigned)count->first_due_ms);
	return true;
}

static void
the_queues_are_counted(void **state)
{
	OWN(rows) struct rows *rows = with_functions();
	OWN(buf) struct buf text = BUF_INIT;

	ok(rows, row_delivery_count(&rows->db, see_count, &text, &rows->err));
	assert_int_equal(text.len, 0);
	add_at(rows, "b", 7, 3);
	add_at(rows, "b", 5, 9);
	add_at(rows, "a", 6, 6);
	add_at(rows, "a", 8, 1);
	end(rows, 8, ROW_DELIVERY_DONE);
	ok(rows, row_delivery_count(&rows->db, see_count, &text, &rows->err));
	assert_string_equal(text.at, "acme/a 1 9 6 6;acme/b 2 18 5 3;");
}

/* ---- lists ---- */

static void
add_in_every_state(struct rows *rows) ON_STORE
{
	for (unsigned i = 1; i <= 16; i++) {
		add_at(rows, i % 2 ? "a" : "b", i, 100 - i);
		if (i / 2 % 4)
			end(rows, i, i / 2 % 4);
	}
}

static void
deliveries_are_listed_newest_first(void **state)
{
	OWN(rows) struct rows *rows = with_functions();
	struct row_delivery sixth = delivery_of("acme", "a", 6);

	add_in_every_state(rows);
	expect_list(rows, (struct row_delivery_query){.state = -1},
		"16 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1");
	expect_list(rows, (struct row_delivery_query){.state = -1, .n = 3}, "16 15 14");
	expect_list(
		rows, (struct row_delivery_query){.state = -1, .before = sixth.id}, "5 4 3 2 1");
	expect_list(rows, (struct row_delivery_query){.state = -1, .function = "a"},
		"15 13 11 9 7 5 3 1");
	expect_list(rows,
		(struct row_delivery_query){
			.state = -1, .function = "a", .before = sixth.id, .n = 2},
		"5 3");
}

static void
deliveries_are_listed_by_state(void **state)
{
	OWN(rows) struct rows *rows = with_functions();
	struct row_delivery ninth = delivery_of("acme", "a", 9);

	add_in_every_state(rows);
	expect_list(rows, (struct row_delivery_query){.state = ROW_DELIVERY_QUEUED}, "16 9 8 1");
	expect_list(rows, (struct row_delivery_query){.state = ROW_DELIVERY_DONE}, "11 10 3 2");
	expect_list(rows, (struct row_delivery_query){.state = ROW_DELIVERY_DEAD}, "13 12 5 4");
	expect_list(
		rows, (struct row_delivery_query){.state = ROW_DELIVERY_CANCELLED}, "15 14 7 6");
	expect_list(rows, (struct row_delivery_query){.state = ROW_DELIVERY_DEAD, .function = "b"},
		"12 4");
	expect_list(rows,
		(struct row_delivery_query){.state = ROW_DELIVERY_QUEUED, .before = ninth.id},
		"8 1");
}

static bool
check_short(const struct row_delivery *row, void *arg)
{
	assert_string_equal(row->headers, "{\"a\":\"b\"}");
	assert_int_equal(row->head.len, 0);
	assert_int_equal(row->body.len, 0);
	assert_int_equal(row->result.len, 0);
	return true;
}

static void
a_list_has_no_head_no_body_and_no_result(void **state)
{
	OWN(rows) struct rows *rows = with_functions();
	struct row_delivery delivery = full_delivery();
	struct row_delivery_query query = {.org = "acme", .state = -1, .n = 10};

	add_delivery(rows, &delivery);
	ok(rows, row_delivery_list(&rows->db, &query, check_short, NULL, &rows->err));
}

/* ---- what goes ---- */

static void
a_purge_takes_the_dead_alone(void **state)
{
	OWN(rows) struct rows *rows = with_functions();
	unsigned n = 99;

	add_in_every_state(rows);
	ok(rows, row_delivery_purge(&rows->db, "acme", "b", 1, &n, &rows->err));
	assert_int_equal(n, 1);
	expect_list(rows, (struct row_delivery_query){.state = ROW_DELIVERY_DEAD}, "13 12 5");
	ok(rows, row_delivery_purge(&rows->db, "acme", NULL, 100, &n, &rows->err));
	assert_int_equal(n, 3);
	ok(rows, row_delivery_purge(&rows->db, "acme", NULL, 100, &n, &rows->err));
	assert_int_equal(n, 0);
	expect_list(rows, (struct row_delivery_query){.state = -1}, "16 15 14 11 10 9 8 7 6 3 2 1");
}

static void
a_trim_takes_what_was_kept_long_enough(void **state)
{
	OWN(rows) struct rows *rows = with_functions();
	unsigned n = 99;

	add_in_every_state(rows);
	ok(rows, row_delivery_trim(&rows->db, 110, 100, &n, &rows->err));
	assert_int_equal(n, 6); /* 2 3, 6 7, 4 5 */
	expect_list(rows, (struct row_delivery_query){.state = -1}, "16 15 14 13 12 11 10 9 8 1");
	ok(rows, row_delivery_trim(&rows->db, 1000, 3, &n, &rows->err));
	assert_int_equal(n, 3);
	expect_list(rows, (struct row_delivery_query){.state = -1}, "16 15 13 12 9 8 1");
	ok(rows, row_delivery_trim(&rows->db, 1000, 100, &n, &rows->err));
	expect_list(rows, (struct row_delivery_query){.state = -1}, "16 9 8 1");
}

static void
one_that_is_dead_is_deleted_and_no_other(void **state)
{
	OWN(rows) struct rows *rows = with_functions();
	struct row_delivery dead = delivery_of("acme", "b", 4), done = delivery_of("acme", "b", 2);

	add_in_every_state(rows);
	assert_int_equal(
		row_delivery_delete(&rows->db, "other", dead.id, &rows->err), ERR_NOT_FOUND);
	assert_int_equal(
		row_delivery_delete(&rows->db, "acme", done.id, &rows->err), ERR_NOT_FOUND);
	ok(rows, row_delivery_delete(&rows->db, "acme", dead.id, &rows->err));
	expect_list(rows, (struct row_delivery_query){.state = ROW_DELIVERY_DEAD}, "13 12 5");
}

static bool
see_dead(const struct row_delivery_count *count, void *arg)
{
	buf_printf(arg, "%s %u;", count->function, (unsigned)count->n);
	return true;
}

static void
the_dead_are_counted(void **state)
{
	OWN(rows) struct rows *rows = with_functions();
	OWN(buf) struct buf text = BUF_INIT;

	add_in_every_state(rows);
	ok(rows, row_delivery_count_dead(&rows->db, see_dead, &text, &rows->err));
	assert_string_equal(text.at, "a 2;b 2;");
}

static bool
see_source(const struct row_delivery_source *source, void *arg)
{
	buf_printf(arg, "%s %s %u %u;", source->origin, source->source, (unsigned)source->n,
		(unsigned)source->oldest_ms);
	return true;
}

static void
what_waits_is_counted_by_where_it_comes_from(void **state)
{
	static const struct {
		const char *origin, *source;
		unsigned created_ms, state;
	} put[] = {{"event", "t", 30, ROW_DELIVERY_QUEUED}, {"event", "t", 20, ROW_DELIVERY_QUEUED},
		{"event", "t", 10, ROW_DELIVERY_DONE}, {"schedule", "t", 40, ROW_DELIVERY_QUEUED},
		{"async", "", 5, ROW_DELIVERY_QUEUED}};
	OWN(rows) struct rows *rows = with_functions();
	OWN(buf) struct buf text = BUF_INIT;
	char known[ID_ULID_SIZE];

	for (unsigned i = 0; i < sizeof(put) / sizeof(put[0]); i++) {
		struct row_delivery row = delivery_of("acme", "a", i + 1);

		snprintf(row.origin, sizeof(row.origin), "%s", put[i].origin);
		snprintf(row.source, sizeof(row.source), "%s", put[i].source);
		row.created_ms = put[i].created_ms;
		row.state = (uint8_t)put[i].state;
		ok(rows, row_delivery_insert(&rows->db, &row, 0, known, &rows->err));
	}
	ok(rows, row_delivery_count_sources(&rows->db, NULL, see_source, &text, &rows->err));
	assert_string_equal(text.at, "event t 2 20;schedule t 1 40;");
	ok(rows, row_delivery_count_sources(&rows->db, "acme", see_source, &text, &rows->err));
	assert_string_equal(text.at + 29, "event t 2 20;schedule t 1 40;");
	ok(rows, row_delivery_count_sources(&rows->db, "bee", see_source, &text, &rows->err));
	assert_int_equal(text.len, 58);
}

/* ---- attempts ---- */

static struct row_attempt
attempt_of(unsigned number, uint32_t n)
{
	struct row_attempt attempt = {
		.number = n,
		.call = "01JABCDEFGHJKMNPQRSTVWXYZ0",
		.version = 7,
		.started_ms = 1000 + n,
		.log = "line",
	};

	memcpy(attempt.delivery, delivery_of("acme", "a", number).id, sizeof(attempt.delivery));
	return attempt;
}

static bool
see_attempt(const struct row_attempt *row, void *arg)
{
	buf_printf(arg, "%u %s %u %u %u %u %s %s %s;", row->number, row->call + 24, row->version,
		(unsigned)row->started_ms, (unsigned)row->wall_us, row->status, row->code,
		row->message, row->log);
	return true;
}

static void
expect_attempts(struct rows *rows, unsigned number, const char *want) ON_STORE
{
	OWN(buf) struct buf text = BUF_INIT;

	ok(rows, row_attempt_list(&rows->db, delivery_of("acme", "a", number).id, see_attempt,
			 &text, &rows->err));
	assert_string_equal(text.len ? text.at : "", want);
}

static void
attempts_are_listed_by_number_as_they_were_last_put(void **state)
{
	OWN(rows) struct rows *rows = with_functions();
	struct row_attempt second = attempt_of(1, 2), tenth = attempt_of(1, 10);

	add_at(rows, "a", 1, 1);
	ok(rows, row_attempt_put(&rows->db, &tenth, &rows->err));
	ok(rows, row_attempt_put(&rows->db, &second, &rows->err));
	expect_attempts(rows, 1, "2 Z0 7 1002 0 0   line;10 Z0 7 1010 0 0   line;");
	second.wall_us = 5;
	second.status = 500;
	snprintf(second.code, sizeof(second.code), "timeout");
	second.message = "late";
	ok(rows, row_attempt_put(&rows->db, &second, &rows->err));
	expect_attempts(rows, 1, "2 Z0 7 1002 5 500 timeout late line;10 Z0 7 1010 0 0   line;");
	expect_attempts(rows, 2, "");
}

static void
an_attempt_is_refused_without_its_delivery(void **state)
{
	OWN(rows) struct rows *rows = with_functions();
	struct row_attempt attempt = attempt_of(1, 1);

	assert_int_equal(row_attempt_put(&rows->db, &attempt, &rows->err), ERR_NOT_FOUND);
}

static void
deliveries_outlive_their_function_and_attempts_go_with_their_delivery(void **state)
{
	OWN(rows) struct rows *rows = with_functions();

	add_in_every_state(rows);
	for (unsigned i = 1; i <= 16; i++) {
		struct row_attempt attempt = attempt_of(i, 1);

		ok(rows, row_attempt_put(&rows->db, &attempt, &rows->err));
	}
	ok(rows, row_function_delete(&rows->db, "acme", "a", &rows->err));
	expect_list(rows, (struct row_delivery_query){.state = -1},
		"16 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1");
	assert_int_equal(rows_count(rows, "SELECT count(*) FROM attempt"), 16);
	ok(rows, row_org_delete(&rows->db, "acme", &rows->err));
	assert_int_equal(rows_count(rows, "SELECT count(*) FROM delivery"), 0);
	assert_int_equal(rows_count(rows, "SELECT count(*) FROM attempt"), 0);
}

UNIT_TESTS(it(a_delivery_is_found_whole), it(a_delivery_is_not_found_by_another_org),
	it(an_update_writes_how_it_went_and_nothing_else),
	it(a_delivery_is_refused_twice_and_without_its_org),
	it(a_key_that_a_function_has_seen_lately_is_refused_with_what_it_was_for),
	it(a_key_may_be_used_again_when_its_time_is_over),
	it(a_key_of_a_call_by_route_is_another_than_that_of_a_call_with_a_token),
	it(what_is_queued_comes_by_due_time_and_then_by_id), it(what_has_ended_is_not_queued),
	it(the_queues_are_counted), it(deliveries_are_listed_newest_first),
	it(deliveries_are_listed_by_state), it(a_list_has_no_head_no_body_and_no_result),
	it(a_purge_takes_the_dead_alone), it(a_trim_takes_what_was_kept_long_enough),
	it(one_that_is_dead_is_deleted_and_no_other), it(the_dead_are_counted),
	it(what_waits_is_counted_by_where_it_comes_from),
	it(attempts_are_listed_by_number_as_they_were_last_put),
	it(an_attempt_is_refused_without_its_delivery),
	it(deliveries_outlive_their_function_and_attempts_go_with_their_delivery))
