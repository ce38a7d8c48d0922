/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record_inside - what the parts of the record log share: the queue and the followers (record.c),
 * sums of calls (record_meter.c), questions (record_query.c). For these files only. ON_LOOP.
 */
#ifndef MAYFLY_DOMAIN_RECORD_INSIDE_H
#define MAYFLY_DOMAIN_RECORD_INSIDE_H

#include "domain/record.h"

enum {
	RECORD_BATCH = 500,
	RECORD_METER_MS = 1000,
	RECORD_TRIM_MS = 60000,
	RECORD_TRIM_ROWS = 1000, /* in one message, so that others are not kept waiting */
};
#define RECORD_QUEUE_BYTES (32ull << 20)

/* What calls of one function came to. */
struct record_sum {
	struct record_counter counter;
	struct row_meter meter; /* of one hour, what is not yet on its way to the store */
	struct list link;       /* in dirty while meter.n_calls > 0 */
};

struct record_log {
	struct domain *domain; /* borrowed */
	struct list loud;      /* of record_entry: failed, or printed something */
	struct list quiet;     /* went well and printed nothing */
	uint64_t queue_bytes;  /* of both, and of what is on its way to the store */
	unsigned n_batches;    /* on their way */
	uint64_t n_records, n_dropped;
	struct list followers; /* of record_follow, borrowed */

	struct map sums;             /* org NUL function → record_sum, owned */
	struct record_sum *last_sum; /* borrowed: the one that was asked for last */
	struct list dirty;           /* of record_sum */
	struct loop_timer meter_timer, trim_timer;
	bool is_meter_timed;
	unsigned n_refs; /* its own and its two timers */
};

/* ---- record.c ---- */
/* Sends everything that waits; what is asked of the store after it finds it. */
void record_send_all(struct record_log *log) ON_LOOP;

/* ---- record_meter.c ---- */
void record_meter_send(struct record_log *log) ON_LOOP;
void record_meter_free(struct record_log *log);

#endif
