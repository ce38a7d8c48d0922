/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record - what happened in each call, kept: written behind in batches, followed live.
 *
 * Finished calls become records; records wait for the store in a bounded queue (32 MiB). When it
 * is full, records of calls that went well and printed nothing are dropped and counted; meters
 * are sums and never dropped. The newest records are readable at once: a query first flushes.
 * ON_LOOP.
 */
#ifndef MAYFLY_DOMAIN_RECORD_H
#define MAYFLY_DOMAIN_RECORD_H

#include "base/json.h"
#include "domain/domain.h"
#include "store/rows.h"

struct record_log;

int record_log_new(struct domain *domain, struct record_log **ret, struct err *err);
void record_log_free(struct record_log *log);

/* Takes over the row's texts by copy. */
void record_add(struct record_log *log, const struct row_call *row) ON_LOOP;

/* Meters of a finished call; written to the store once a second and at stop. */
void record_meter(struct record_log *log, const struct row_call *row, uint64_t memory_mib) ON_LOOP;

/* Bytes over a function's network that no call of its own accounts for: `row` tells whose. */
void record_egress(
	struct record_log *log, const struct row_call *row, uint64_t in, uint64_t out) ON_LOOP;

/* A function that is gone: its counters go, and what its meter still holds is written, so that
 * whoever makes new names again and again does not fill the memory. */
void record_forget(struct record_log *log, const char *org, const char *function) ON_LOOP;

void record_flush(struct record_log *log, void (*done)(void *arg), void *arg) ON_LOOP;

struct record_stats {
	uint64_t n_records, n_dropped, queue_bytes;
};
void record_stats(const struct record_log *log, struct record_stats *ret) ON_LOOP;

/* Queries: done(rows as a JSON array or object, NULL with code) on the loop. The caller owns
 * nothing; json is borrowed for the call. */
typedef void record_done_fn(int code, const json_t *json, const struct err *err, void *arg);
void record_list(struct record_log *log, const struct row_call_query *query /* copied */,
	record_done_fn *done, void *arg) ON_LOOP;
void record_get(struct record_log *log, struct str org, struct str id, record_done_fn *done,
	void *arg) ON_LOOP;
json_t *record_json(const struct row_call *row, bool is_with_log);

/* Live: lines of running calls and finished records of an org (and function, "" for all). */
struct record_follow {
	struct list link; /* list_init() before */
	char org[64], function[64];
	void (*on_line)(struct record_follow *follow, const char *call_id, struct str function,
		bool is_stderr, struct str line, uint64_t when_ms);
	void (*on_record)(struct record_follow *follow, const struct row_call *row);
};
void record_follow(struct record_log *log, struct record_follow *follow) ON_LOOP;
void record_unfollow(struct record_follow *follow) ON_LOOP;
void record_line(struct record_log *log, const char *org, const char *function, const char *call_id,
	bool is_stderr, struct str line) ON_LOOP; /* to the followers; the call keeps its own log */

/* Counters for /metrics, per function, since start. */
struct record_counter {
	char org[64], function[64];
	uint64_t n_by_class[6]; /* status / 100 */
	uint64_t n_cold, cpu_us, wall_us, bytes_in, bytes_out, egress_in, egress_out;
	uint64_t wall_buckets[14]; /* cumulative, ≤ 1 2 5 10 25 50 100 250 500 1000 2500 5000 10000
				      ms, +Inf */
};
void record_each_counter(const struct record_log *log,
	void (*each)(const struct record_counter *counter, void *arg), void *arg) ON_LOOP;

#endif
