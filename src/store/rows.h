/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows - every question that the rest of mayfly may ask of a database.
 *
 * All ON_STORE, inside the transaction of the message that runs. `insert` gives ERR_CONFLICT for
 * a key that is there, `update` and `delete` ERR_NOT_FOUND for one that is not. Text is UTF-8.
 * List functions call each(row, arg) in the order stated until it gives false; the row is borrowed
 * for the call. Pointers in rows are borrowed on the way in and during each(), which must not ask
 * the question again that it is the answer to.
 *
 * A row that belongs to an org or a function that is not there gives ERR_NOT_FOUND (calls, meters
 * and deliveries belong to an org alone). With an org goes all that is its own, calls and meters
 * too; with a function go its versions, triggers and schedules, while its calls, meters and
 * deliveries stay.
 */
#ifndef MAYFLY_STORE_ROWS_H
#define MAYFLY_STORE_ROWS_H

#include <stdbool.h>

#include "base/id.h"
#include "base/str.h"
#include "store/store.h"

/* ---- org ---- */
struct row_org {
	char name[64];
	uint64_t created_ms;
	const char *settings; /* JSON object */
};
int row_org_insert(struct store_db *db, const struct row_org *row, struct err *err) ON_STORE;
int row_org_update(struct store_db *db, const struct row_org *row, struct err *err) ON_STORE;
int row_org_delete(struct store_db *db, const char *name, struct err *err) ON_STORE; /* all of it */
int row_org_list(struct store_db *db, bool (*each)(const struct row_org *row, void *arg), void *arg,
	struct err *err) ON_STORE; /* by name */

/* ---- token ---- */
struct row_token {
	char id[ID_ULID_SIZE];
	char org[64];    /* "" for the provider's */
	char role[16];   /* admin, developer, invoker, viewer */
	char name[64];   /* what the owner calls it */
	char prefix[16]; /* first characters of the secret, for recognition */
	char secret_sha256[ID_SHA256_SIZE];
	uint64_t created_ms, expires_ms /* 0 never */, last_used_ms /* 0 never */;
};
int row_token_insert(struct store_db *db, const struct row_token *row, struct err *err) ON_STORE;
int row_token_delete(struct store_db *db, const char *id, struct err *err) ON_STORE;
int row_token_used(struct store_db *db, const char *id, uint64_t when_ms, struct err *err) ON_STORE;
int row_token_list(struct store_db *db, bool (*each)(const struct row_token *row, void *arg),
	void *arg, struct err *err) ON_STORE; /* by id */

/* ---- function ---- */
struct row_function {
	char org[64], name[64];
	char route[256];         /* without a slash in front: "hello", "shop/v1" */
	uint32_t active_version; /* 0 before the first is ready */
	uint32_t last_version;   /* highest number given out, never used again */
	uint64_t created_ms, updated_ms;
};
int row_function_insert(
	struct store_db *db, const struct row_function *row, struct err *err) ON_STORE;
int row_function_update(
	struct store_db *db, const struct row_function *row, struct err *err) ON_STORE;
int row_function_delete(struct store_db *db, const char *org, const char *name,
	struct err *err) ON_STORE; /* with its versions */
int row_function_list(struct store_db *db, bool (*each)(const struct row_function *row, void *arg),
	void *arg, struct err *err) ON_STORE; /* by org, name */

/* ---- version ---- */
struct row_version {
	char org[64], function[64];
	uint32_t number;
	char state[16];   /* initializing, ready, failed */
	char runtime[32]; /* "node20": resolved, never an alias */
	char handler[256];
	char source[ID_SHA256_SIZE]; /* blob */
	char filename[128];          /* of a single-file source, "" for an archive */
	char tree[ID_SHA256_SIZE];   /* "" until unpacked */
	char deps[ID_SHA256_SIZE];   /* blob and tree of the dependencies, "" for none */
	const char *config;    /* JSON: limits, environment, … as domain/version.h writes it */
	const char *reason;    /* why it failed; "" else */
	const char *build_log; /* last lines of the installer; "" without */
	uint64_t created_ms, ready_ms;
};
int row_version_insert(
	struct store_db *db, const struct row_version *row, struct err *err) ON_STORE;
int row_version_update(
	struct store_db *db, const struct row_version *row, struct err *err) ON_STORE;
int row_version_delete(struct store_db *db, const char *org, const char *function, uint32_t number,
	struct err *err) ON_STORE;
int row_version_list(struct store_db *db, bool (*each)(const struct row_version *row, void *arg),
	void *arg, struct err *err) ON_STORE; /* by org, function, number */

/* ---- build cache ---- */
int row_build_find(struct store_db *db, const char *key, char ret_deps[static ID_SHA256_SIZE],
	struct err *err) ON_STORE; /* ERR_NOT_FOUND */
int row_build_put(struct store_db *db, const char *key, const char *org, const char *deps,
	uint64_t when_ms, struct err *err) ON_STORE;
/* Forgets builds made before before_ms whose dependencies no version uses. */
int row_build_trim(
	struct store_db *db, uint64_t before_ms, unsigned *ret_removed, struct err *err) ON_STORE;

/* ---- call ---- */
struct row_call {
	char id[ID_ULID_SIZE];
	char org[64], function[64];
	uint32_t version;
	char trigger[16]; /* "http", "direct", or a delivery's origin */
	char method[16];
	const char *path;    /* with the query cut off, at most 512 bytes */
	uint16_t status;     /* HTTP status the caller got */
	char code[32];       /* "ok" or the error's word */
	const char *message; /* of the error, "" without */
	uint64_t started_ms;
	uint64_t queue_us, wall_us, cpu_us;
	uint64_t memory_peak_bytes, bytes_in, bytes_out;
	uint64_t egress_in, egress_out; /* bytes over the function's network */
	bool is_cold;
	bool is_log_truncated;
	const char *log; /* JSON lines {"t":ms,"s":"out"|"err","m":"text"}; "" without; NULL from
			    list */
};
int row_call_insert(struct store_db *db, const struct row_call *row, struct err *err) ON_STORE;
int row_call_find(struct store_db *db, const char *org, const char *id,
	void (*found)(const struct row_call *row, void *arg), void *arg, struct err *err) ON_STORE;
struct row_call_query {
	const char *org;      /* needed */
	const char *function; /* NULL for all */
	const char *code;     /* NULL for all */
	const char *before;   /* id to page on from, NULL for the newest */
	const char *after;    /* only ids above it, NULL for none */
	bool is_failed_only;  /* code is not "ok" */
	bool is_with_log;
	unsigned n; /* at most 1000 */
};
int row_call_list(struct store_db *db, const struct row_call_query *query,
	bool (*each)(const struct row_call *row, void *arg), void *arg,
	struct err *err) ON_STORE; /* newest first */
/* Keeps the newest `keep` of each function and none older than before_ms; at most `n` rows a turn.
 */
int row_call_trim(struct store_db *db, uint64_t before_ms, unsigned keep, unsigned n,
	unsigned *ret_removed, struct err *err) ON_STORE;

/* ---- meter: sums per org, function, hour; added to what is there ---- */
struct row_meter {
	char org[64], function[64];
	uint64_t hour_ms; /* start of the hour, UTC */
	uint64_t n_calls, n_errors, wall_us, cpu_us, bytes_in, bytes_out, egress_in, egress_out;
	uint64_t memory_mib_us; /* sum over calls of memory limit × wall */
};
int row_meter_add(struct store_db *db, const struct row_meter *row, struct err *err) ON_STORE;
int row_meter_list(struct store_db *db, const char *org, uint64_t from_ms, uint64_t to_ms,
	bool (*each)(const struct row_meter *row, void *arg), void *arg,
	struct err *err) ON_STORE; /* from_ms <= hour_ms < to_ms, by hour, function */

/* ---- delivery: a durable call, while it waits and what became of it ---- */
enum row_delivery_state {
	ROW_DELIVERY_QUEUED, /* waits, or is in hand: running is not a row's business */
	ROW_DELIVERY_DONE,
	ROW_DELIVERY_DEAD,
	ROW_DELIVERY_CANCELLED,
};
struct row_delivery {
	char id[ID_ULID_SIZE]; /* the call's, too */
	char org[64], function[64];
	uint32_t version; /* to run; 0 for the active one */
	uint8_t state;    /* enum row_delivery_state */
	char origin[16];  /* "async", "event", "schedule", "redrive", "destination", "callback",
			     "queue" */
	char source[64];  /* name of the trigger, schedule or function; "" */
	uint8_t frame;    /* enum frame_trigger: how the function gets it */
	uint32_t attempt; /* attempts that were made */
	uint64_t created_ms, expires_ms, ended_ms;
	uint64_t due_ms;             /* of the next attempt; when it has ended: kept until then */
	const char *order_key;       /* "" for none, at most 128 bytes */
	const char *idempotency_key; /* "" for none, at most 128 bytes */
	const char *callback_url;    /* "" for none, at most 2048 bytes */
	const char *method, *path;   /* for the record */
	struct str head, body;       /* what the function gets */
	/* How it ended, or how the last attempt did. */
	uint16_t status;
	char code[32];       /* "ok", an error's word, "" before the first attempt */
	const char *message; /* of the error */
	const char *headers; /* of the answer: JSON object; "" without */
	struct str result;   /* body of the answer */
	uint32_t hops;       /* deliveries that led to it, one by another */
};
/* ERR_CONFLICT: the idempotency key was used for this function since `known_since_ms`; ret_known
 * is the delivery of that time. */
int row_delivery_insert(struct store_db *db, const struct row_delivery *row,
	uint64_t known_since_ms, char ret_known[static ID_ULID_SIZE], struct err *err) ON_STORE;
/* state, attempt, due_ms, ended_ms, status, code, message, headers, result. */
int row_delivery_update(
	struct store_db *db, const struct row_delivery *row, struct err *err) ON_STORE;
/* head and body, of one that was inserted without. */
int row_delivery_keep(
	struct store_db *db, const struct row_delivery *row, struct err *err) ON_STORE;
int row_delivery_find(struct store_db *db, const char *org, const char *id,
	void (*found)(const struct row_delivery *row, void *arg), void *arg,
	struct err *err) ON_STORE;
/* Queued ones of a function behind (after_due_ms, after_id), due at most at due_ms, by due_ms, id.
 */
int row_delivery_next(struct store_db *db, const char *org, const char *function,
	uint64_t after_due_ms, const char *after_id, uint64_t due_ms, unsigned n,
	bool (*each)(const struct row_delivery *row, void *arg), void *arg,
	struct err *err) ON_STORE;
/* Per function with something queued: how many, their bytes, the oldest, the first due. */
struct row_delivery_count {
	char org[64], function[64];
	uint64_t n, n_bytes, oldest_ms, first_due_ms;
};
int row_delivery_count(struct store_db *db,
	bool (*each)(const struct row_delivery_count *count, void *arg), void *arg,
	struct err *err) ON_STORE;
/* The same by where they come from (a trigger, a schedule), but for those that come from nowhere:
 * `n` and `oldest_ms`. `org` is NULL for all. */
struct row_delivery_source {
	char org[64], origin[16], source[64];
	uint64_t n, oldest_ms;
};
int row_delivery_count_sources(struct store_db *db, const char *org,
	bool (*each)(const struct row_delivery_source *source, void *arg), void *arg,
	struct err *err) ON_STORE;
struct row_delivery_query {
	const char *org;      /* needed */
	const char *function; /* NULL for all */
	const char *before;   /* id to page on from, NULL for the newest */
	int state;            /* enum row_delivery_state, -1 for all */
	unsigned n;           /* at most 1000 */
};
int row_delivery_list(struct store_db *db, const struct row_delivery_query *query,
	bool (*each)(
		const struct row_delivery *row /* without head, body, result, hops */, void *arg),
	void *arg, struct err *err) ON_STORE; /* newest first */
/* Dead ones of a function (NULL: of the org); at most n. */
int row_delivery_purge(struct store_db *db, const char *org, const char *function, unsigned n,
	unsigned *ret_removed, struct err *err) ON_STORE;
/* One dead one; ERR_NOT_FOUND for any other. */
int row_delivery_delete(
	struct store_db *db, const char *org, const char *id, struct err *err) ON_STORE;
/* Dead ones per function: `n` alone is counted. */
int row_delivery_count_dead(struct store_db *db,
	bool (*each)(const struct row_delivery_count *count, void *arg), void *arg,
	struct err *err) ON_STORE;
/* Ended ones that were kept until before_ms: due_ms, when they have ended; at most n. */
int row_delivery_trim(struct store_db *db, uint64_t before_ms, unsigned n, unsigned *ret_removed,
	struct err *err) ON_STORE;

/* ---- attempt: each try of a delivery; goes with it ---- */
struct row_attempt {
	char delivery[ID_ULID_SIZE];
	uint32_t number;         /* from 1 */
	char call[ID_ULID_SIZE]; /* its call record */
	uint32_t version;
	uint64_t started_ms,
		wall_us; /* 0 wall and code "" while it runs; so it stays if it was lost */
	uint16_t status;
	char code[32];
	const char *message;
	const char *log; /* as row_call.log, its last 64 KiB */
};
int row_attempt_put(struct store_db *db, const struct row_attempt *row, struct err *err) ON_STORE;
int row_attempt_list(struct store_db *db, const char *delivery,
	bool (*each)(const struct row_attempt *row, void *arg), void *arg,
	struct err *err) ON_STORE; /* by number */

/* ---- event: which (source, id) were accepted, for de-duplication ---- */
/* ERR_CONFLICT when it was there at or after since_ms. */
int row_event_insert(struct store_db *db, const char *org, const char *source, const char *id,
	uint64_t when_ms, uint64_t since_ms, struct err *err) ON_STORE;
/* Whether it was; nothing is written. */
int row_event_is_known(struct store_db *db, const char *org, const char *source, const char *id,
	uint64_t since_ms, bool *ret_is_known, struct err *err) ON_STORE;
/* Those behind `after`, by accepted_ms, org, source and id, n of them. */
struct row_event {
	char org[64];
	const char *source, *id;
	uint64_t accepted_ms;
};
int row_event_list(struct store_db *db, const struct row_event *after, unsigned n,
	bool (*each)(const struct row_event *row, void *arg), void *arg, struct err *err) ON_STORE;
int row_event_trim(struct store_db *db, uint64_t before_ms, unsigned n, unsigned *ret_removed,
	struct err *err) ON_STORE;

/* ---- trigger: what becomes of which events; goes with its function ---- */
struct row_trigger {
	char org[64], name[64], function[64]; /* function "" where it sends to a URL */
	const char *document; /* JSON as domain/trigger.h writes it: filter, policy */
	bool is_enabled;
	uint64_t created_ms, updated_ms;
};
int row_trigger_insert(
	struct store_db *db, const struct row_trigger *row, struct err *err) ON_STORE;
int row_trigger_update(
	struct store_db *db, const struct row_trigger *row, struct err *err) ON_STORE;
int row_trigger_delete(
	struct store_db *db, const char *org, const char *name, struct err *err) ON_STORE;
int row_trigger_list(struct store_db *db, bool (*each)(const struct row_trigger *row, void *arg),
	void *arg, struct err *err) ON_STORE; /* by org, name */

/* ---- schedule: when a function is called; goes with its function ---- */
struct row_schedule {
	char org[64], name[64], function[64];
	const char *document; /* JSON as domain/schedule.h writes it: when, zone, payload, missed */
	bool is_enabled;
	uint64_t last_ms; /* the planned time that was last put; 0 for none */
	uint64_t created_ms, updated_ms;
};
int row_schedule_insert(
	struct store_db *db, const struct row_schedule *row, struct err *err) ON_STORE;
int row_schedule_update(
	struct store_db *db, const struct row_schedule *row, struct err *err) ON_STORE;
int row_schedule_delete(
	struct store_db *db, const char *org, const char *name, struct err *err) ON_STORE;
int row_schedule_list(struct store_db *db, bool (*each)(const struct row_schedule *row, void *arg),
	void *arg, struct err *err) ON_STORE; /* by org, name */

#endif
