/* SPDX-License-Identifier: Apache-2.0 */
#include "domain_kit.h"
#include "event_unit.h"
#include "fake_delivery.h"

#include "base/clock.h"
#include "domain/event_known.h"
#include "domain/event_turn.h"
#include "domain/trigger_inside.h"

static struct event_accepted accepted;
static int accepted_code;
static unsigned n_told;

static void
on_accepted(int code, const struct event_accepted *got, const struct err *err, void *arg)
{
	accepted_code = code;
	n_told++;
	if (code == 0)
		accepted = *got;
	kit_org_told(code, err, arg);
}

static struct kit *
open_kit(void) THREAD_ENTERS(thread_role_loop)
{
	struct kit *kit = kit_open();

	fake_delivery_reset();
	kit->domain.deliveries = (struct delivery_host *)kit; /* played: never looked into */
	kit_deploy(kit, "greet");
	kit_deploy(kit, "audit");
	return kit;
}

static void
on_put(int code, struct trigger *trigger, bool is_new, const struct err *err, void *arg)
{
	kit_org_told(code, err, arg);
}

static void
trigger_of(struct kit *kit, const char *org, const char *name, const char *text) ON_LOOP
{
	OWN(json) json_t *document = event_json(text);

	kit->is_told = false;
	assert_int_equal(trigger_put(&kit->domain, kit_org(kit, org), str_of(name), document,
				 on_put, kit, &kit->err),
		0);
	kit_await(kit);
	assert_int_equal(kit->code, 0);
}

static void
trigger(struct kit *kit, const char *name, const char *text) ON_LOOP
{
	trigger_of(kit, "acme", name, text);
}

/* Events with these ids, of one type; `n` of them. */
static struct event_list
events(const char *type, const char *ids, const char *more)
{
	struct event_list list = {
		.at = mem_new(strlen(ids) * sizeof(struct event)), .n = strlen(ids)};

	for (size_t i = 0; i < list.n; i++) {
		OWN(mem)
		char *text = mem_printf("{'specversion':'1.0','id':'%c','source':'/s','type':'%s'"
					"%s%s}",
			ids[i], type, *more ? "," : "", more);
		struct err err = {0};

		assert_int_equal(event_adopt(event_json(text), STR_NONE, &list.at[i], &err), 0);
	}
	return list;
}

static void
accept_of(struct kit *kit, const char *org, struct event_list list) ON_LOOP
{
	kit->is_told = false;
	event_accept(&kit->domain, kit_org(kit, org), &list, on_accepted, kit);
	assert_null(list.at);
}

static void
accept_async(struct kit *kit, const char *type, const char *ids, const char *more) ON_LOOP
{
	accept_of(kit, "acme", events(type, ids, more));
}

static void
accept_events(struct kit *kit, const char *type, const char *ids, const char *more) ON_LOOP
{
	accept_async(kit, type, ids, more);
	kit_await(kit);
}

static void
expect(unsigned n_events, unsigned n_known, unsigned n_deliveries)
{
	assert_int_equal(accepted.n_events, n_events);
	assert_int_equal(accepted.n_known, n_known);
	assert_int_equal(accepted.n_deliveries, n_deliveries);
}

static bool
is_loaded(void *arg)
{
	return event_known_is_loaded(((struct kit *)arg)->domain.events_known);
}

static void
each_trigger_that_fits_gets_a_delivery_with_its_policy_and_key(void **state)
{
	OWN(kit) struct kit *kit = open_kit();
	const struct fake_put *put = fake_delivery.puts;

	trigger(kit, "a", "{'function':'greet','order_key':'subject','queue':{'attempts':2}}");
	trigger(kit, "b", "{'function':'greet','filter':[{'exact':{'type':'x'}}]}");
	trigger(kit, "c", "{'function':'audit','order_key':'data.missing'}");
	trigger(kit, "d", "{'function':'audit','filter':[{'exact':{'type':'y'}}]}");
	accept_events(kit, "x", "1", "'subject':'vm'");
	assert_int_equal(kit->code, 0);
	expect(1, 0, 3);
	assert_int_equal(fake_delivery.n, 3);
	assert_string_equal(put[0].source, "a");
	assert_string_equal(put[0].function, "greet");
	assert_string_equal(put[0].order_key, "vm");
	assert_int_equal(put[0].attempts, 2);
	assert_string_equal(put[1].source, "b");
	assert_string_equal(put[1].order_key, "");
	assert_int_equal(put[1].attempts, 0);
	assert_string_equal(put[2].function, "audit");
	assert_string_equal(put[2].order_key, "");
	assert_string_not_equal(put[0].idempotency_key, put[1].idempotency_key);
	assert_non_null(strstr(put[0].body, "\"specversion\":\"1.0\""));
}

static void
an_event_is_known_for_a_day_in_its_batch_and_after_a_restart(void **state)
{
	OWN(kit) struct kit *kit = open_kit();

	trigger(kit, "a", "{'function':'greet'}");
	accept_events(kit, "x", "121", "");
	expect(3, 1, 2);
	accept_events(kit, "x", "23", "");
	expect(2, 1, 1);
	fake_delivery_reset();
	kit_reopen(kit);
	kit->domain.deliveries = (struct delivery_host *)kit;
	accept_events(kit, "x", "123", "");
	expect(3, 3, 0);
	assert_int_equal(fake_delivery.n, 0);
	kit_reopen(kit);
	kit->domain.deliveries = (struct delivery_host *)kit;
	kit_until(kit, is_loaded, kit);
	accept_events(kit, "x", "123", "");
	expect(3, 3, 0);
	assert_int_equal(fake_delivery.n, 0);
	kit_count(kit, "UPDATE event SET accepted_ms = accepted_ms - 86400001 RETURNING 1");
	accept_events(kit, "x", "4", "");
	expect(1, 0, 1);
	assert_int_equal(kit_count(kit, "SELECT count(*) FROM event"), 1);
	accept_events(kit, "x", "1", "");
	expect(1, 0, 1);
}

/* ---- what is certainly new ---- */

static void
only_what_may_be_known_waits_for_the_store(void **state)
{
	OWN(kit) struct kit *kit = open_kit();

	trigger(kit, "a", "{'function':'greet'}");
	kit_until(kit, is_loaded, kit);
	accept_async(kit, "x", "1", "");
	assert_int_equal(fake_delivery.n, 1);
	kit_await(kit);
	fake_delivery.refuse_from = 1;
	accept_events(kit, "x", "2", "");
	assert_int_equal(kit->code, ERR_RATE);
	fake_delivery.refuse_from = 0;
	accept_async(kit, "x", "2", "");
	assert_int_equal(fake_delivery.n, 1);
	kit_await(kit);
	assert_int_equal(fake_delivery.n, 2);
	expect(1, 0, 1);
}

/* More than one question brings. Of others a few in a thousand may look known. */
static void
all_that_the_store_knows_is_remembered_after_a_restart(void **state)
{
	OWN(kit) struct kit *kit = open_kit();
	OWN(mem)
	char *sql = mem_printf("WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n"
			       " WHERE i < 4999) INSERT INTO event SELECT 'acme', '/s', i,"
			       " %llu + i / 7 FROM n RETURNING 1",
		(unsigned long long)clock_unix_ms() - 1000);
	unsigned n_new = 0;

	kit_org(kit, "acme");
	kit_count(kit, sql);
	kit_reopen(kit);
	assert_false(is_loaded(kit));
	assert_true(event_known_add(kit->domain.events_known, 1));
	kit_until(kit, is_loaded, kit);
	assert_true(event_known_add(kit->domain.events_known, 1));
	for (unsigned i = 0; i < 10000; i++) {
		OWN(mem) char *id = mem_printf("%u", i);
		bool may_be_known = event_known_add(
			kit->domain.events_known, event_known_hash("acme", "/s", id));

		if (i < 5000)
			assert_true(may_be_known);
		else
			n_new += !may_be_known;
	}
	assert_in_range(n_new, 4950, 5000);
}

static void
a_hash_tells_whose_source_and_id_it_is_of(void **state)
{
	uint64_t hash = event_known_hash("acme", "/s", "1");

	assert_int_equal(hash, event_known_hash("acme", "/s", "1"));
	assert_true(hash != event_known_hash("bee", "/s", "1"));
	assert_true(hash != event_known_hash("acme", "/s1", ""));
	assert_true(hash != event_known_hash("acme", "1", "/s"));
	assert_true(hash != event_known_hash("/s", "acme", "1"));
}

static bool
are_three_told(void *arg)
{
	return n_told == 3;
}

static void
the_answer_waits_for_every_delivery(void **state)
{
	OWN(kit) struct kit *kit = open_kit();

	trigger(kit, "a", "{'function':'greet'}");
	trigger(kit, "b", "{'function':'audit'}");
	fake_delivery.is_held = true;
	accept_async(kit, "x", "1", "");
	kit_turn(kit, 20);
	assert_int_equal(fake_delivery.n, 2);
	assert_false(kit->is_told);
	assert_int_equal(kit_count(kit, "SELECT count(*) FROM event"), 0);
	fake_delivery_release();
	kit_await(kit);
	expect(1, 0, 2);
	assert_int_equal(kit_count(kit, "SELECT count(*) FROM event"), 1);
}

/* Ten of 200 KiB would be 2 MiB of an event that came once. */
static void
what_is_on_its_way_to_the_disk_is_bounded(void **state)
{
	OWN(kit) struct kit *kit = open_kit();
	OWN(mem) char *more = mem_printf("'data':'%0204800d'", 0);
	char name[2] = "a";

	for (; name[0] <= 'j'; name[0]++)
		trigger(kit, name, "{'function':'greet'}");
	fake_delivery.is_held = true;
	accept_async(kit, "x", "12", more);
	kit_turn(kit, 20);
	assert_in_range(fake_delivery.n, 1, 6);
	assert_string_equal(fake_delivery.puts[0].source, "a");
	fake_delivery_release();
	kit_await(kit);
	expect(2, 0, 20);
	assert_string_equal(fake_delivery.puts[9].source, "j");
	assert_string_equal(fake_delivery.puts[10].source, "a");
}

static void
a_trigger_that_goes_before_its_turn_is_passed_over(void **state)
{
	OWN(kit) struct kit *kit = open_kit();
	OWN(mem) char *more = mem_printf("'data':'%0204800d'", 0);
	char name[2] = "a";

	for (; name[0] <= 'j'; name[0]++)
		trigger(kit, name, "{'function':'greet'}");
	fake_delivery.is_held = true;
	accept_async(kit, "x", "1", more);
	kit_turn(kit, 20);
	trigger_function_gone(kit_org(kit, "acme"), "greet");
	fake_delivery_release();
	kit_await(kit);
	assert_int_equal(kit->code, 0);
	assert_in_range(accepted.n_deliveries, 1, 6);
}

static void
a_refused_batch_is_not_known_and_goes_on_where_it_stopped(void **state)
{
	OWN(kit) struct kit *kit = open_kit();
	struct trigger_figures figures;

	trigger(kit, "a", "{'function':'greet'}");
	trigger(kit, "b", "{'function':'audit'}");
	fake_delivery.refuse_from = 2;
	accept_events(kit, "x", "12", "");
	assert_int_equal(kit->code, ERR_RATE);
	assert_string_equal(kit->err.text, "trigger b: the queue is full");
	assert_int_equal(fake_delivery.n, 1);
	assert_int_equal(kit_count(kit, "SELECT count(*) FROM event"), 0);
	fake_delivery.refuse_from = 0;
	accept_events(kit, "x", "12", "");
	assert_int_equal(kit->code, 0);
	expect(2, 0, 3);
	assert_int_equal(fake_delivery.n, 4);
	trigger_figures(trigger_find(kit_org(kit, "acme"), STR("a")), &figures);
	assert_int_equal(figures.n_matched, 2);
}

static void
two_senders_of_one_event_at_once_cause_one_delivery(void **state)
{
	OWN(kit) struct kit *kit = open_kit();

	trigger(kit, "a", "{'function':'greet'}");
	accept_async(kit, "x", "1", "");
	accept_async(kit, "x", "1", "");
	kit_await(kit);
	kit_turn(kit, 20);
	assert_int_equal(fake_delivery.n, 1);
	expect(1, 1, 0);
}

static void
an_org_that_goes_meanwhile_is_not_found(void **state)
{
	OWN(kit) struct kit *kit = open_kit();

	accept_events(kit, "x", "1", "");
	accept_async(kit, "x", "1", "");
	org_delete(kit_org(kit, "acme"), kit_org_told, kit);
	kit_await(kit);
	kit_turn(kit, 20);
	assert_int_equal(accepted_code, ERR_NOT_FOUND);
}

static void
nothing_is_accepted_while_mayfly_stops(void **state)
{
	OWN(kit) struct kit *kit = open_kit();

	kit->domain.is_stopping = true;
	accept_events(kit, "x", "1", "");
	assert_int_equal(kit->code, ERR_UNAVAILABLE);
	kit->domain.is_stopping = false;
	trigger(kit, "a", "{'function':'greet'}");
	fake_delivery.is_held = true;
	accept_async(kit, "x", "1", "");
	kit->domain.is_stopping = true;
	fake_delivery_release();
	kit_await(kit);
	assert_int_equal(kit->code, ERR_UNAVAILABLE);
	kit->domain.is_stopping = false;
}

/* ---- who holds the loop ---- */

/* Each event of the org is compared with more conditions than one turn of the loop has room for,
 * and is for trigger "z" alone. */
static void
burden(struct kit *kit, const char *org) ON_LOOP
{
	OWN(buf) struct buf text = BUF_INIT;

	buf_add_text(&text, "{'url':'http://a.test/','filter':");
	for (int i = 0; i < TRIGGER_CONDITIONS_MAX; i++)
		buf_printf(&text, "%s{'suffix':{'type':'none'}}", i ? "," : "[");
	buf_add_text(&text, "]}");
	for (unsigned i = 0; i <= EVENT_TURN_STEPS / TRIGGER_CONDITIONS_MAX; i++) {
		OWN(mem) char *name = mem_printf("burden%u", i);

		trigger_of(kit, org, name, text.at);
	}
	trigger_of(kit, org, "z", "{'url':'http://a.test/','mode':'structured'}");
}

/* The ids of what was put, in its order. */
static void
expect_put(const char *ids)
{
	assert_int_equal(fake_delivery.n, strlen(ids));
	for (unsigned i = 0; ids[i]; i++) {
		const char *id = strstr(fake_delivery.puts[i].body, "\"id\":\"");

		assert_non_null(id);
		assert_int_equal(id[6], ids[i]);
	}
}

static void
an_org_whose_events_take_long_does_not_hold_the_loop(void **state)
{
	OWN(kit) struct kit *kit = open_kit();

	burden(kit, "acme");
	trigger_of(kit, "bee", "z", "{'url':'http://a.test/','mode':'structured'}");
	kit_until(kit, is_loaded, kit);
	n_told = 0;
	accept_async(kit, "x", "123456", "");
	expect_put("1");
	accept_of(kit, "bee", events("x", "b", ""));
	accept_async(kit, "x", "789", "");
	expect_put("1");
	kit_until(kit, are_three_told, kit);
	assert_int_equal(accepted_code, 0);
	expect_put("12b3456789");
}

static void
an_org_that_goes_between_two_events_of_a_batch_is_not_found(void **state)
{
	OWN(kit) struct kit *kit = open_kit();

	burden(kit, "acme");
	kit_until(kit, is_loaded, kit);
	accept_async(kit, "x", "12345678", "");
	accept_async(kit, "x", "9", "");
	n_told = 0;
	org_delete(kit_org(kit, "acme"), kit_org_told, kit);
	kit_turn(kit, 50);
	assert_int_equal(n_told, 2);
	assert_int_equal(accepted_code, ERR_NOT_FOUND);
	expect_put("1");
}

static void
nothing_is_known_of_a_batch_that_mayfly_stops_within(void **state)
{
	OWN(kit) struct kit *kit = open_kit();

	burden(kit, "acme");
	kit_until(kit, is_loaded, kit);
	fake_delivery.is_held = true;
	accept_async(kit, "x", "12345678", "");
	kit->domain.is_stopping = true;
	kit_turn(kit, 10);
	assert_false(kit->is_told);
	fake_delivery_release();
	kit_await(kit);
	assert_int_equal(kit->code, ERR_UNAVAILABLE);
	expect_put("1");
	assert_int_equal(kit_count(kit, "SELECT count(*) FROM event"), 0);
	kit->domain.is_stopping = false;
}

static void
on_emitted(int code, const struct err *err, void *arg)
{
	kit_org_told(code, err, arg);
}

static void
an_event_of_a_destination_is_accepted_like_any_other(void **state)
{
	OWN(kit) struct kit *kit = open_kit();
	OWN(json) json_t *data = event_json("{'x':1}");
	struct delivery_event event = {"1", "/functions/greet", "order.done", "", data};

	trigger(kit, "a", "{'function':'audit','filter':[{'exact':{'data.x':1}}]}");
	for (int i = 0; i < 2; i++) {
		kit->is_told = false;
		event_emit(&kit->domain, "acme", &event, on_emitted, kit);
		kit_await(kit);
		assert_int_equal(kit->code, 0);
		assert_int_equal(fake_delivery.n, 1);
	}
	assert_non_null(strstr(fake_delivery.puts[0].body, "/functions/greet"));
	event.type = "";
	event_emit(&kit->domain, "acme", &event, on_emitted, kit);
	assert_int_equal(kit->code, ERR_INVALID);
	event_emit(&kit->domain, "none", &event, on_emitted, kit);
	assert_int_equal(kit->code, ERR_NOT_FOUND);
}

/* ---- following ---- */

struct follower {
	struct event_follow follow;
	struct buf seen; /* ids of events */
	char last[ID_ULID_SIZE];
};

static void
on_event(struct event_follow *follow, const char *id, struct str json)
{
	struct follower *follower = list_owner(follow, struct follower, follow);
	const char *at = memmem(json.at, json.len, "\"id\":\"", 6);

	assert_true(strcmp(id, follower->last) > 0);
	memcpy(follower->last, id, ID_ULID_SIZE);
	buf_add_char(&follower->seen, at[6]);
}

static struct follower *
follow(struct kit *kit, unsigned n, const char *after) ON_LOOP
{
	struct follower *follower = mem_new(sizeof(*follower));

	list_init(&follower->follow.link);
	follower->follow.on_event = on_event;
	buf_add_text(&follower->seen, "-");
	event_follow(kit_org(kit, "acme"), &follower->follow, n, after);
	return follower;
}

static void
unfollow(struct follower *follower, const char *seen) ON_LOOP
{
	assert_string_equal(follower->seen.at, seen);
	event_unfollow(&follower->follow);
	buf_done(&follower->seen);
	free(follower);
}

static void
who_follows_sees_what_is_remembered_and_then_what_comes(void **state)
{
	OWN(kit) struct kit *kit = open_kit();
	struct follower *first = follow(kit, 100, ""), *some;
	char last[ID_ULID_SIZE];

	accept_events(kit, "x", "abc", "");
	accept_events(kit, "x", "c", "");
	some = follow(kit, 2, "");
	memcpy(last, some->last, sizeof(last));
	accept_events(kit, "x", "d", "");
	unfollow(some, "-bcd");
	unfollow(follow(kit, 100, last), "-d");
	unfollow(follow(kit, 0, ""), "-");
	unfollow(first, "-abcd");
	for (char id = 'A'; id < 'A' + 26; id++) {
		for (int type = 0; type < 5; type++) {
			OWN(mem) char *text = mem_printf("'n':%d", type);
			char ids[2] = {id, 0};
			struct event_list list = events("x", ids, text);

			event_log_add(kit_org(kit, "acme")->events, list.at);
			event_list_done(&list);
		}
	}
	some = follow(kit, 1000, "");
	assert_int_equal(some->seen.len, 101);
	assert_int_equal(some->seen.at[100], 'Z');
	buf_cut(&some->seen, 1);
	some->seen.at[1] = '\0';
	unfollow(some, "-");
}

UNIT_TESTS(it(an_org_whose_events_take_long_does_not_hold_the_loop),
	it(an_org_that_goes_between_two_events_of_a_batch_is_not_found),
	it(nothing_is_known_of_a_batch_that_mayfly_stops_within),
	it(each_trigger_that_fits_gets_a_delivery_with_its_policy_and_key),
	it(an_event_is_known_for_a_day_in_its_batch_and_after_a_restart),
	it(only_what_may_be_known_waits_for_the_store),
	it(all_that_the_store_knows_is_remembered_after_a_restart),
	it(a_hash_tells_whose_source_and_id_it_is_of), it(the_answer_waits_for_every_delivery),
	it(what_is_on_its_way_to_the_disk_is_bounded),
	it(a_trigger_that_goes_before_its_turn_is_passed_over),
	it(a_refused_batch_is_not_known_and_goes_on_where_it_stopped),
	it(two_senders_of_one_event_at_once_cause_one_delivery),
	it(an_org_that_goes_meanwhile_is_not_found), it(nothing_is_accepted_while_mayfly_stops),
	it(an_event_of_a_destination_is_accepted_like_any_other),
	it(who_follows_sees_what_is_remembered_and_then_what_comes))
