/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/record.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "domain/record_inside.h"

struct record_entry {
	struct list link;
	size_t size;
	struct row_call row; /* its texts stand in `text` */
	char text[];
};

struct record_batch {
	struct store_message message;
	struct record_log *log; /* borrowed */
	struct list entries;    /* owned */
	unsigned n;
	uint64_t bytes;
};

/* ---- entries ---- */

static const char *
record_copy_text(char **at, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = memcpy(*at, text, size);

	*at += size;
	return copy;
}

static struct record_entry *
record_entry_new(const struct row_call *row)
{
	size_t size = sizeof(struct record_entry) + strlen(row->path) + strlen(row->message) +
		      strlen(row->log) + 3;
	struct record_entry *entry = mem_grow(NULL, size);
	char *at = entry->text;

	entry->size = size;
	entry->row = *row;
	entry->row.path = record_copy_text(&at, row->path);
	entry->row.message = record_copy_text(&at, row->message);
	entry->row.log = record_copy_text(&at, row->log);
	return entry;
}

static bool
record_drop_oldest(struct record_log *log, struct list *entries)
{
	struct record_entry *entry = list_first(entries, struct record_entry, link);

	if (!entry)
		return false;
	list_remove(&entry->link);
	log->queue_bytes -= entry->size;
	log->n_dropped++;
	free(entry);
	return true;
}

/* Calls that went well and printed nothing go first, the oldest of them first: the store keeps the
 * newest too. */
static void
record_make_room(struct record_log *log)
{
	while (log->queue_bytes > RECORD_QUEUE_BYTES)
		if (!record_drop_oldest(log, &log->quiet) && !record_drop_oldest(log, &log->loud))
			return;
}

/* ---- to the store ---- */

/* A function may be deleted, and its records with it, while some of them are on their way. */
static int ON_STORE
record_batch_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct record_batch *batch = list_owner(message, struct record_batch, message);
	struct record_entry *entry;

	thread_on_store();
	list_each (&batch->entries, entry, link) {
		int rc = row_call_insert(db, &entry->row, err);

		if (rc < 0 && rc != ERR_NOT_FOUND)
			return rc;
	}
	return 0;
}

static void record_send(struct record_log *log, bool is_lazy) ON_LOOP;

static void
record_batch_done(struct store_message *message)
{
	struct record_batch *batch = list_owner(message, struct record_batch, message);
	struct record_log *log = batch->log;
	struct record_entry *entry;

	thread_on_loop();
	if (message->code < 0) {
		log->n_dropped += batch->n;
		log_warn("record.lost", "n=%u reason=%s", batch->n, log_q(message->err.text));
	}
	list_each (&batch->entries, entry, link)
		free(entry);
	log->queue_bytes -= batch->bytes;
	log->n_batches--;
	free(batch);
	if (log->n_batches == 0)
		record_send(log, true);
}

static void
record_batch_fill(struct record_batch *batch, struct list *entries)
{
	struct record_entry *entry;

	while (batch->n < RECORD_BATCH &&
		(entry = list_first(entries, struct record_entry, link))) {
		list_remove(&entry->link);
		list_push_back(&batch->entries, &entry->link);
		batch->n++;
		batch->bytes += entry->size;
	}
}

/* One batch, if anything waits. */
static void
record_send(struct record_log *log, bool is_lazy)
{
	struct record_batch *batch;

	if (list_is_empty(&log->loud) && list_is_empty(&log->quiet))
		return;
	batch = mem_new(sizeof(*batch));
	batch->log = log;
	batch->message.work = record_batch_work;
	batch->message.done = record_batch_done;
	batch->message.is_lazy = is_lazy;
	list_init(&batch->entries);
	record_batch_fill(batch, &log->loud);
	record_batch_fill(batch, &log->quiet);
	log->n_batches++;
	store_ask(log->domain->store, &batch->message);
}

void
record_send_all(struct record_log *log)
{
	while (!list_is_empty(&log->loud) || !list_is_empty(&log->quiet))
		record_send(log, true);
}

/* One batch at a time is on its way: a flood of calls then costs the store's thread no more than
 * some thousand rows a second, and what does not fit the queue is dropped. */
void
record_add(struct record_log *log, const struct row_call *row)
{
	struct record_entry *entry = record_entry_new(row);
	bool is_quiet = strcmp(row->code, "ok") == 0 && row->log[0] == '\0';
	struct record_follow *follow;

	log->n_records++;
	log->queue_bytes += entry->size;
	list_push_back(is_quiet ? &log->quiet : &log->loud, &entry->link);
	list_each (&log->followers, follow, link) {
		if (strcmp(follow->org, row->org) == 0 &&
			(follow->function[0] == '\0' ||
				strcmp(follow->function, row->function) == 0))
			follow->on_record(follow, row);
	}
	record_make_room(log);
	if (log->n_batches == 0)
		record_send(log, true);
}

/* ---- flush ---- */

struct record_flushing {
	struct store_message message;
	void (*done)(void *arg);
	void *arg; /* borrowed */
};

static int
record_flush_work(struct store_db *db, struct store_message *message, struct err *err)
{
	return 0;
}

static void
record_flush_done(struct store_message *message)
{
	struct record_flushing *flushing = list_owner(message, struct record_flushing, message);

	flushing->done(flushing->arg);
	free(flushing);
}

/* The store hands back in order. */
void
record_flush(struct record_log *log, void (*done)(void *arg), void *arg)
{
	struct record_flushing *flushing = mem_new(sizeof(*flushing));

	record_send_all(log);
	record_meter_send(log);
	flushing->message.work = record_flush_work;
	flushing->message.done = record_flush_done;
	flushing->done = done;
	flushing->arg = arg;
	store_ask(log->domain->store, &flushing->message);
}

/* ---- trim ---- */

struct record_trim {
	struct store_message message;
	struct record_log *log; /* borrowed */
	uint64_t before_ms;
	unsigned keep, n_removed;
};

static void record_trim_ask(struct record_log *log) ON_LOOP;

static int ON_STORE
record_trim_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct record_trim *trim = list_owner(message, struct record_trim, message);

	thread_on_store();
	return row_call_trim(
		db, trim->before_ms, trim->keep, RECORD_TRIM_ROWS, &trim->n_removed, err);
}

static void ON_LOOP
record_on_trim_timer(struct loop_timer *timer)
{
	record_trim_ask(list_owner(timer, struct record_log, trim_timer));
}

static void
record_trim_done(struct store_message *message)
{
	struct record_trim *trim = list_owner(message, struct record_trim, message);
	struct record_log *log = trim->log;
	bool is_more = message->code == 0 && trim->n_removed >= RECORD_TRIM_ROWS;

	thread_on_loop();
	if (message->code < 0)
		log_warn("record.trim_failed", "reason=%s", log_q(message->err.text));
	free(trim);
	if (log->domain->is_stopping)
		return;
	if (is_more)
		record_trim_ask(log);
	else
		loop_timer_start(
			log->domain->loop, &log->trim_timer, RECORD_TRIM_MS, record_on_trim_timer);
}

static void
record_trim_ask(struct record_log *log)
{
	struct record_trim *trim = mem_new(sizeof(*trim));
	uint64_t keep_ms = log->domain->config.keep_days * 86400000ull;
	uint64_t now_ms = clock_unix_ms();

	trim->log = log;
	trim->before_ms = now_ms > keep_ms ? now_ms - keep_ms : 0;
	trim->keep = log->domain->config.keep_calls;
	trim->message.work = record_trim_work;
	trim->message.done = record_trim_done;
	trim->message.is_lazy = true;
	store_ask(log->domain->store, &trim->message);
}

/* ---- followers ---- */

void
record_follow(struct record_log *log, struct record_follow *follow)
{
	list_push_back(&log->followers, &follow->link);
}

void
record_unfollow(struct record_follow *follow)
{
	list_remove(&follow->link);
}

void
record_line(struct record_log *log, const char *org, const char *function, const char *call_id,
	bool is_stderr, struct str line)
{
	struct record_follow *follow;
	uint64_t now_ms;

	if (list_is_empty(&log->followers))
		return;
	now_ms = clock_unix_ms();
	list_each (&log->followers, follow, link) {
		if (strcmp(follow->org, org) == 0 &&
			(follow->function[0] == '\0' || strcmp(follow->function, function) == 0))
			follow->on_line(follow, call_id, str_of(function), is_stderr, line, now_ms);
	}
}

/* ---- life ---- */

int
record_log_new(struct domain *domain, struct record_log **ret, struct err *err)
{
	struct record_log *log = mem_new(sizeof(*log));

	thread_on_loop();
	log->domain = domain;
	log->n_refs = 3;
	list_init(&log->loud);
	list_init(&log->quiet);
	list_init(&log->followers);
	list_init(&log->dirty);
	loop_timer_start(domain->loop, &log->trim_timer, RECORD_TRIM_MS, record_on_trim_timer);
	*ret = log;
	return 0;
}

static void
record_unref(struct record_log *log)
{
	if (--log->n_refs > 0)
		return;
	record_meter_free(log);
	free(log);
}

static void
record_on_meter_timer_closed(struct loop_timer *timer)
{
	record_unref(list_owner(timer, struct record_log, meter_timer));
}

static void
record_on_trim_timer_closed(struct loop_timer *timer)
{
	record_unref(list_owner(timer, struct record_log, trim_timer));
}

void
record_log_free(struct record_log *log)
{
	if (!log)
		return;
	thread_on_loop();
	while (record_drop_oldest(log, &log->loud) || record_drop_oldest(log, &log->quiet))
		;
	loop_timer_close(&log->meter_timer, record_on_meter_timer_closed);
	loop_timer_close(&log->trim_timer, record_on_trim_timer_closed);
	record_unref(log);
}

void
record_stats(const struct record_log *log, struct record_stats *ret)
{
	*ret = (struct record_stats){log->n_records, log->n_dropped, log->queue_bytes};
}
