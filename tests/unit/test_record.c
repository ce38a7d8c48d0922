/* SPDX-License-Identifier: Apache-2.0 */
#include "call_kit.h"

#include <string.h>

static struct row_call
row_new(const char *code)
{
	struct row_call row = {.org = "acme",
		.function = "hello",
		.version = 1,
		.trigger = "http",
		.method = "GET",
		.path = "/a",
		.status = 200,
		.message = "",
		.started_ms = 7200001,
		.wall_us = 1500,
		.cpu_us = 100,
		.bytes_in = 1,
		.bytes_out = 2,
		.log = ""};

	id_ulid(row.id);
	strncpy(row.code, code, sizeof(row.code) - 1);
	return row;
}

static void
what_was_just_added_is_found(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	OWN(json) json_t *records = NULL;
	struct row_call row = row_new("ok");

	thread_on_loop();
	for (int i = 0; i < 1500; i++) {
		id_ulid(row.id);
		record_add(kit->domain.records, &row);
	}
	records = kit_records(kit);
	assert_int_equal(json_array_size(records), 1000);
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(records, 0), "id")), row.id);
}

static void
a_full_queue_drops_quiet_records_and_keeps_the_loud(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	OWN(json) json_t *records = NULL;
	OWN(mem) char *large = mem_new((1 << 20) + 1);
	struct row_call loud = row_new("function_error"), quiet = row_new("ok");
	struct record_stats stats;
	const json_t *record;
	size_t i, n_loud = 0;

	thread_on_loop();
	memset(large, 'x', 1 << 20);
	quiet.message = large;
	for (int k = 0; k < 3; k++) {
		id_ulid(loud.id);
		record_add(kit->domain.records, &loud);
	}
	for (int k = 0; k < 60; k++) {
		id_ulid(quiet.id);
		record_add(kit->domain.records, &quiet);
	}
	record_stats(kit->domain.records, &stats);
	assert_int_equal(stats.n_records, 63);
	assert_in_range(stats.n_dropped, 28, 40);
	assert_true(stats.queue_bytes <= 32 << 20);
	records = kit_records(kit);
	assert_int_equal(json_array_size(records), 63 - stats.n_dropped);
	json_array_foreach (records, i, record)
		n_loud += strcmp(json_string_value(json_object_get(record, "code")), "ok") != 0;
	assert_int_equal(n_loud, 3);
	record_stats(kit->domain.records, &stats);
	assert_int_equal(stats.queue_bytes, 0);
}

struct sums {
	struct row_meter rows[4];
	unsigned n;
};

static bool
on_meter(const struct row_meter *row, void *arg)
{
	struct sums *sums = arg;

	assert_in_range(sums->n, 0, 3);
	sums->rows[sums->n++] = *row;
	return true;
}

static int
read_meters(struct store_db *db, void *arg, struct err *err)
{
	thread_on_store();
	return row_meter_list(db, "acme", 0, UINT64_MAX >> 1, on_meter, arg, err);
}

static void
on_flushed(void *arg)
{
	*(bool *)arg = true;
}

static void
meters_are_sums_by_the_hour(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct row_call row = row_new("ok");
	struct sums sums = {0};
	bool is_flushed = false;

	thread_on_loop();
	record_meter(kit->domain.records, &row, 256);
	strncpy(row.code, "timeout", sizeof(row.code) - 1);
	record_meter(kit->domain.records, &row, 256);
	row.started_ms += 3600000;
	record_meter(kit->domain.records, &row, 256);
	record_flush(kit->domain.records, on_flushed, &is_flushed);
	kit_until(kit, &is_flushed);
	assert_int_equal(store_ask_and_wait(kit->store, read_meters, &sums, NULL), 0);
	assert_int_equal(sums.n, 2);
	assert_int_equal(sums.rows[0].hour_ms, 7200000);
	assert_int_equal(sums.rows[0].n_calls, 2);
	assert_int_equal(sums.rows[0].n_errors, 1);
	assert_int_equal(sums.rows[0].wall_us, 3000);
	assert_int_equal(sums.rows[0].memory_mib_us, 2 * 256 * 1500);
	assert_int_equal(sums.rows[1].hour_ms, 10800000);
	assert_int_equal(sums.rows[1].n_calls, 1);
}

static void
copy_counter(const struct record_counter *counter, void *arg)
{
	*(struct record_counter *)arg = *counter;
}

static void
counters_fall_into_their_buckets(void **state)
{
	static const uint64_t walls_us[] = {0, 1000, 1001, 9999, 10000000, 10000001};
	OWN(kit) struct kit *kit = kit_new();
	struct row_call row = row_new("ok");
	struct record_counter counter = {0};

	thread_on_loop();
	for (size_t i = 0; i < sizeof(walls_us) / sizeof(*walls_us); i++) {
		row.wall_us = walls_us[i];
		row.status = i == 0 ? 499 : 200;
		record_meter(kit->domain.records, &row, 256);
	}
	record_each_counter(kit->domain.records, copy_counter, &counter);
	assert_string_equal(counter.function, "hello");
	assert_int_equal(counter.n_by_class[2], 5);
	assert_int_equal(counter.n_by_class[4], 1);
	assert_int_equal(counter.wall_buckets[0], 2);
	assert_int_equal(counter.wall_buckets[1], 3);
	assert_int_equal(counter.wall_buckets[2], 3);
	assert_int_equal(counter.wall_buckets[3], 4);
	assert_int_equal(counter.wall_buckets[12], 5);
	assert_int_equal(counter.wall_buckets[13], 6);
}

static void
records_of_an_org_that_is_gone_harm_no_others(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	OWN(json) json_t *records = NULL;
	struct row_call gone = row_new("ok"), kept = row_new("ok");

	thread_on_loop();
	memcpy(gone.org, "gone", 5);
	record_add(kit->domain.records, &kept);
	record_add(kit->domain.records, &gone);
	id_ulid(kept.id);
	record_add(kit->domain.records, &kept);
	records = kit_records(kit);
	assert_int_equal(json_array_size(records), 2);
}

UNIT_TESTS(it(what_was_just_added_is_found),
	it(a_full_queue_drops_quiet_records_and_keeps_the_loud), it(meters_are_sums_by_the_hour),
	it(counters_fall_into_their_buckets), it(records_of_an_org_that_is_gone_harm_no_others))
