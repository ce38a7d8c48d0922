/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "domain/record_inside.h"

#define RECORD_HOUR_MS 3600000ull
#define RECORD_SUM_KEY                                                                             \
	(sizeof(((struct row_call *)0)->org) + sizeof(((struct row_call *)0)->function))

struct record_meters {
	struct store_message message;
	struct record_log *log;  /* borrowed */
	struct loop_timer timer; /* until it is asked again */
	size_t n;
	struct row_meter rows[];
};

static void record_meter_soon(struct record_log *log) ON_LOOP;

/* ---- sums ---- */

static struct str
record_sum_key(const char *org, const char *function, char key[static RECORD_SUM_KEY])
{
	size_t org_size = strlen(org) + 1, function_len = strlen(function);

	memcpy(key, org, org_size);
	memcpy(key + org_size, function, function_len);
	return str_n(key, org_size + function_len);
}

static struct record_sum *
record_sum_get(struct record_log *log, const char *org, const char *function)
{
	struct record_sum *sum = log->last_sum;
	char key[RECORD_SUM_KEY];
	struct str name;

	if (sum && strcmp(sum->counter.function, function) == 0 &&
		strcmp(sum->counter.org, org) == 0)
		return sum;
	name = record_sum_key(org, function, key);
	sum = log->last_sum = map_find(&log->sums, name);
	if (sum)
		return sum;
	sum = log->last_sum = mem_new(sizeof(*sum));
	list_init(&sum->link);
	snprintf(sum->counter.org, sizeof(sum->counter.org), "%s", org);
	snprintf(sum->counter.function, sizeof(sum->counter.function), "%s", function);
	snprintf(sum->meter.org, sizeof(sum->meter.org), "%s", org);
	snprintf(sum->meter.function, sizeof(sum->meter.function), "%s", function);
	map_put(&log->sums, name, sum);
	return sum;
}

static void
record_count(struct record_counter *counter, const struct row_call *row)
{
	static const uint64_t bounds_ms[] = {
		1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000};
	size_t n = sizeof(bounds_ms) / sizeof(*bounds_ms), i = n;
	unsigned class = row->status / 100;

	counter->n_by_class[class < 6 ? class : 0]++;
	counter->n_cold += row->is_cold;
	counter->cpu_us += row->cpu_us;
	counter->wall_us += row->wall_us;
	counter->bytes_in += row->bytes_in;
	counter->bytes_out += row->bytes_out;
	counter->egress_in += row->egress_in;
	counter->egress_out += row->egress_out;
	counter->wall_buckets[n]++;
	while (i > 0 && row->wall_us <= bounds_ms[i - 1] * 1000)
		counter->wall_buckets[--i]++;
}

void
record_meter(struct record_log *log, const struct row_call *row, uint64_t memory_mib)
{
	struct record_sum *sum = record_sum_get(log, row->org, row->function);
	struct row_meter *meter = &sum->meter;
	uint64_t hour_ms = row->started_ms - row->started_ms % RECORD_HOUR_MS;

	record_count(&sum->counter, row);
	if (meter->n_calls > 0 && meter->hour_ms != hour_ms)
		record_meter_send(log);
	meter->hour_ms = hour_ms;
	meter->n_calls++;
	meter->n_errors += strcmp(row->code, "ok") != 0;
	meter->wall_us += row->wall_us;
	meter->cpu_us += row->cpu_us;
	meter->bytes_in += row->bytes_in;
	meter->bytes_out += row->bytes_out;
	meter->egress_in += row->egress_in;
	meter->egress_out += row->egress_out;
	meter->memory_mib_us += memory_mib * row->wall_us;
	if (list_is_empty(&sum->link))
		list_push_back(&log->dirty, &sum->link);
	record_meter_soon(log);
}

void
record_egress(struct record_log *log, const struct row_call *row, uint64_t in, uint64_t out)
{
	struct record_sum *sum;

	if (in == 0 && out == 0)
		return;
	sum = record_sum_get(log, row->org, row->function);
	sum->counter.egress_in += in;
	sum->counter.egress_out += out;
	sum->meter.egress_in += in;
	sum->meter.egress_out += out;
}

void
record_forget(struct record_log *log, const char *org, const char *function)
{
	char key[RECORD_SUM_KEY];
	struct str name = record_sum_key(org, function, key);
	struct record_sum *sum = map_find(&log->sums, name);

	if (!sum)
		return;
	if (!list_is_empty(&sum->link))
		record_meter_send(log);
	map_remove(&log->sums, name);
	if (log->last_sum == sum)
		log->last_sum = NULL;
	free(sum);
}

void
record_each_counter(const struct record_log *log,
	void (*each)(const struct record_counter *counter, void *arg), void *arg)
{
	map_each (&log->sums, entry)
		each(&((struct record_sum *)entry->value)->counter, arg);
}

void
record_meter_free(struct record_log *log)
{
	map_each (&log->sums, entry)
		free(entry->value);
	map_done(&log->sums);
}

/* ---- to the store ---- */

static int ON_STORE
record_meters_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct record_meters *meters = list_owner(message, struct record_meters, message);

	thread_on_store();
	for (size_t i = 0; i < meters->n; i++) {
		struct err why = {0};
		int rc = row_meter_add(db, &meters->rows[i], &why);

		/* An org that was deleted meanwhile took its figures with it. */
		if (rc < 0 && rc != ERR_NOT_FOUND) {
			*err = why;
			return rc;
		}
	}
	return 0;
}

static void ON_LOOP
record_meters_on_timer(struct loop_timer *timer)
{
	struct record_meters *meters = list_owner(timer, struct record_meters, timer);

	meters->message.code = 0;
	meters->message.err = (struct err){0};
	store_ask(meters->log->domain->store, &meters->message);
}

static void
record_meters_closed(struct loop_timer *timer)
{
	free(list_owner(timer, struct record_meters, timer));
}

/* What could not be written is asked again, as it is, until it can. */
static void
record_meters_done(struct store_message *message)
{
	struct record_meters *meters = list_owner(message, struct record_meters, message);
	bool is_last = meters->log->domain->is_stopping;

	thread_on_loop();
	if (message->code < 0)
		log_warn(is_last ? "meter.lost" : "meter.delayed", "n=%zu reason=%s", meters->n,
			log_q(message->err.text));
	if (message->code < 0 && !is_last)
		loop_timer_start(meters->log->domain->loop, &meters->timer, RECORD_METER_MS,
			record_meters_on_timer);
	else
		loop_timer_close(&meters->timer, record_meters_closed);
}

static struct record_meters *
record_meters_take(struct record_log *log)
{
	struct record_meters *meters;
	struct record_sum *sum;
	size_t n = 0;

	list_each (&log->dirty, sum, link)
		n++;
	meters = mem_new(sizeof(*meters) + n * sizeof(*meters->rows));
	meters->log = log;
	while ((sum = list_first(&log->dirty, struct record_sum, link))) {
		struct row_meter *row = &meters->rows[meters->n++];

		list_remove(&sum->link);
		*row = sum->meter;
		memset(&sum->meter, 0, sizeof(sum->meter));
		memcpy(sum->meter.org, row->org, sizeof(row->org));
		memcpy(sum->meter.function, row->function, sizeof(row->function));
	}
	return meters;
}

void
record_meter_send(struct record_log *log)
{
	struct record_meters *meters;

	if (list_is_empty(&log->dirty))
		return;
	meters = record_meters_take(log);
	meters->message.work = record_meters_work;
	meters->message.done = record_meters_done;
	meters->message.is_lazy = true;
	store_ask(log->domain->store, &meters->message);
}

static void ON_LOOP
record_on_meter_timer(struct loop_timer *timer)
{
	struct record_log *log = list_owner(timer, struct record_log, meter_timer);

	log->is_meter_timed = false;
	record_meter_send(log);
}

static void
record_meter_soon(struct record_log *log)
{
	if (log->is_meter_timed)
		return;
	log->is_meter_timed = true;
	loop_timer_start(
		log->domain->loop, &log->meter_timer, RECORD_METER_MS, record_on_meter_timer);
}
