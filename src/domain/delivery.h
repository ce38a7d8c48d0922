/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delivery - a durable call: accepted when it is on disk, tried until it succeeds or is dead.
 *
 *	 delivery_put() ── on disk ──▶ QUEUED ── due, room for it and its key ──▶ RUNNING
 *	                               ▲   └─ too old ▶ DEAD, cancelled ▶ CANCELLED    │
 *	                               └───── failed, attempts left: back-off ─────────┤
 *	                                                  success ▶ DONE   else ▶ DEAD ┘
 *
 * At least once: what was accepted and not ended when the daemon died is tried again; the attempt
 * that was lost stays in its record as lost. An attempt fails when the function throws, crashes, is
 * out of a limit or time, or answers an HTTP status of 500 and more, 408, 425 or 429; other answers
 * are its result. Deliveries of one order key run one after the other in the order of acceptance,
 * while one of them is being tried again the others wait. Each attempt is a call (call.h) with a
 * record; the first has the delivery's id.
 *
 * A post is a delivery whose target is a URL (delivery_post()). All of an org wait in one queue,
 * which has the name that no function can have. An attempt is a request instead of a call: it has
 * no call record and is not metered. 2xx is success; no answer, 500 and more, 408, 425 and 429
 * fail; after any other status, and for an address that may not be reached, it is dead at once.
 *
 * What a delivery sets off by its destinations, directly or by an event, has one hop more than it:
 * beyond DELIVERY_HOPS_MAX nothing is set off, so that a circle ends. ON_LOOP.
 */
#ifndef MAYFLY_DOMAIN_DELIVERY_H
#define MAYFLY_DOMAIN_DELIVERY_H

#include "bus/bus.h"
#include "domain/call.h"
#include "domain/delivery_policy.h"
#include "net/fetch.h"

#define DELIVERY_KEY_MAX  128 /* bytes of an order key and of an idempotency key */
#define DELIVERY_KEY_SIZE 65  /* an org's key for callbacks, hex, terminated */
#define DELIVERY_HOPS_MAX 16
#define DELIVERY_POSTS    "@posts" /* where a function's name stands, for posts */

/* What a destination of kind event gets; all borrowed. */
struct delivery_event {
	const char *id, *source, *type, *subject;
	const json_t *data;
	uint32_t hops;
};

/* What a destination of kind task is told of a delivery; all borrowed. */
struct delivery_task {
	const char *org, *function, *id, *origin;
	struct str event, answer; /* the delivery's body, and what the function answered */
	const char *action;       /* "resume", "abort", "fail"; "" for what the answer says */
	const char *reason;       /* why it is dead; "" when it is done */
};

struct delivery_host; /* one per daemon: domain->deliveries */

struct delivery_config {
	struct bus *bus;          /* borrowed */
	struct fetch_host *fetch; /* borrowed */
	struct str hmac_key;     /* copied: callbacks of all orgs are signed with keys made of it */
	unsigned max_length_org; /* waiting ones of an org: 100,000 */
	/* Accepts an event of an org: what destinations of kind event go to. NULL: there are none.
	 */
	void (*emit)(struct domain *domain, const char *org, const struct delivery_event *event,
		void (*done)(int code, const struct err *err, void *arg), void *arg);
	/* Sends what goes to a URL of another scheme than http and https (only the daemon itself
	 * makes those; `url` and `body` are borrowed for the call). done() exactly once, perhaps
	 * before this returns, with an HTTP status, or with 0 and an error. An error beside a
	 * status of 2xx is a note: its text is kept as the delivery's message. It is not cancelled:
	 * one that is under way when the daemon stops must be told of by the end of fetch_close()
	 * (which ends the requests that it makes with UNAVAILABLE), and is sent again by the next
	 * daemon. NULL: there are none. */
	void (*send)(struct domain *domain, const char *org, const char *url, struct str body,
		void (*done)(int status, const struct err *err, void *arg), void *arg);
	/* The post that answers the task which a delivery is about: its URL is for `send`, its body
	 * a document; its origin is "task". FORBIDDEN, INVALID: there is nothing to answer. NULL:
	 * there are no tasks. */
	int (*task)(const struct delivery_task *task, struct buf *ret_url, struct buf *ret_body,
		struct err *err);
	/* The policy that a trigger or schedule (by origin) has for its deliveries, borrowed; NULL
	 * for the function's. */
	const struct delivery_policy *(*policy_of)(
		struct domain *domain, const char *org, const char *origin, const char *source);
	/* One that came from a trigger or schedule is done, or dead. NULL: nobody counts. */
	void (*ended)(struct domain *domain, const char *org, const char *origin,
		const char *source, bool is_done);
};
/* Sets domain->deliveries. */
int delivery_host_new(struct domain *domain, const struct delivery_config *config,
	struct delivery_host **ret, struct err *err);
/* After domain_resume(): attaches the queues of all functions that serve. */
void delivery_host_start(struct delivery_host *host) ON_LOOP;
/* No further attempt begins; those that run are calls in flight, which domain_stop() waits for. */
void delivery_host_stop(struct delivery_host *host) ON_LOOP;
/* After store_close(), which gives back what was asked of it. */
void delivery_host_free(struct delivery_host *host);
/* A function was put, got another active version, or goes: its queue follows. */
void delivery_function_changed(struct function *function) ON_LOOP;
void delivery_function_gone(struct function *function) ON_LOOP;
/* The org is deleted, after its functions: its posts go. */
void delivery_org_gone(struct domain *domain, const char *org) ON_LOOP;

struct delivery_request {
	struct function *function;
	const char *id;     /* a ULID that its head names; NULL: one is made */
	uint32_t version;   /* 0 for the active one when it runs */
	const char *origin; /* "async", "event", "schedule", "redrive", "destination" */
	const char *source; /* name of trigger or schedule, "" */
	enum frame_trigger frame;
	struct str method, path;                             /* for the record */
	struct str head, body;                               /* copied; head: of FRAME_HTTP */
	struct str order_key, idempotency_key, callback_url; /* copied; "" for none */
	uint64_t due_ms;                                     /* 0 for now */
	uint32_t hops;                                       /* 0 from outside */
	const struct delivery_policy
		*policy; /* NULL: the function's; attempts and age of a trigger */
};
struct delivery_accepted {
	char id[ID_ULID_SIZE];
	bool is_known; /* the idempotency key was used before: id is that delivery's */
};
typedef void delivery_put_fn(
	int code, const struct delivery_accepted *accepted, const struct err *err, void *arg);
/* What is accepted runs when its function serves, also where that is not yet. Refused at once:
 * NOT_FOUND (the function is being deleted, or has no such version), RATE (its queue or its org's
 * is full; err says which), TOO_LARGE, INVALID (a key or URL), UNAVAILABLE (stopping, broker away).
 * done() comes exactly once, perhaps before this returns. */
void delivery_put(struct delivery_host *host, const struct delivery_request *request,
	delivery_put_fn *done, void *arg) ON_LOOP;

/* What goes to a URL; texts, headers and bytes are copied. */
struct delivery_post {
	const char *org;
	const char *url; /* http(s), or of a scheme that delivery_config.send knows */
	json_t *headers; /* name → string, as they are sent, but for the signature; NULL: none */
	struct str body;
	const char *origin; /* "callback", "destination", "task", "event", "redrive" */
	const char *source; /* name of the function or trigger that it comes from */
	struct str order_key, idempotency_key; /* "" for none */
	uint32_t hops;
	/* FRAME_HTTP: asked for by route, where anybody asks; it is not signed. */
	enum frame_trigger frame;
	const struct delivery_policy *policy; /* whose age holds; NULL: that of posts */
};
/* Signed with the org's key and a fresh time at each attempt, but for what was asked for by route:
 * the key would stand for what anybody has a function say. The policy of its later attempts is
 * policy_of() origin and source, or that of posts (delivery_policy_posts()). Refused at once:
 * INVALID (URL, header, key), NOT_FOUND (no such org), RATE (the org's queues are full),
 * UNAVAILABLE. done() comes exactly once, perhaps before this returns. */
void delivery_post(struct delivery_host *host, const struct delivery_post *post,
	delivery_put_fn *done, void *arg) ON_LOOP;

/* Queued or running: ends it. CONFLICT when it has ended, NOT_FOUND. */
void delivery_cancel(struct delivery_host *host, struct str org, struct str id,
	void (*done)(int code, const struct err *err, void *arg), void *arg) ON_LOOP;

/* JSON of one: {"id","org","function","version","state":"queued|running|done|dead|cancelled",
 * "origin","source","order_key","idempotency_key","callback_url","method","path","created_at",
 * "due_at","expires_at","ended_at","attempt_count","status","code","message",
 * "attempts":[{"number","call_id","version","started_at","wall_us","status","code","message",
 * "log"}],"hops","result":{"status","headers","body" or "body_base64"} or null,
 * "payload":{"head","body" or "body_base64"}}; a list has the members up to "message". With wait_ms
 * it comes when the delivery has ended, or then; delivery_get_stop() gives up waiting and the JSON
 * comes at once. */
typedef void delivery_json_fn(int code, const json_t *json, const struct err *err, void *arg);
struct delivery_wait;
struct delivery_wait *delivery_get(struct delivery_host *host, struct str org, struct str id,
	unsigned wait_ms, delivery_json_fn *done, void *arg) ON_LOOP;
void delivery_get_stop(struct delivery_wait *wait) ON_LOOP;  /* done() comes soon */
void delivery_get_leave(struct delivery_wait *wait) ON_LOOP; /* done() does not come */
/* {"deliveries": [...]}, newest first. */
void delivery_list_running(struct delivery_host *host, struct str org, struct str function,
	unsigned n, delivery_json_fn *done, void *arg) ON_LOOP;
void delivery_list(struct delivery_host *host, const struct row_delivery_query *query,
	delivery_json_fn *done, void *arg) ON_LOOP;

/* Dead ones: again from the first attempt, with a new id and origin "redrive"; the dead one goes
 * when the new one is on disk. version 0: the active one. A post goes to its URL again, and to no
 * function (CONFLICT). */
void delivery_redrive(struct delivery_host *host, struct str org, struct str id,
	struct function *to /* NULL: the same */, uint32_t version, delivery_put_fn *done,
	void *arg) ON_LOOP;
/* All dead ones of a function ("" of the org; to another function: without its posts), oldest
 * first, until one is refused: n went, and err says what stopped it, if anything did. */
void delivery_redrive_all(struct delivery_host *host, struct str org, struct str function,
	struct function *to, uint32_t version,
	void (*done)(int code, unsigned n, const struct err *err, void *arg), void *arg) ON_LOOP;
void delivery_delete(struct delivery_host *host, struct str org, struct str id,
	void (*done)(int code, const struct err *err, void *arg), void *arg) ON_LOOP;
void delivery_purge(struct delivery_host *host, struct str org, struct str function /* "" all */,
	void (*done)(int code, unsigned n, void *arg), void *arg) ON_LOOP;

/* The key that an org's callbacks are signed with. */
void delivery_callback_key(
	const struct delivery_host *host, struct str org, char ret[static DELIVERY_KEY_SIZE]);

struct delivery_stats { /* of a function */
	uint64_t n_queued, n_running, n_dead;
	uint64_t oldest_ms; /* Unix time at which the oldest queued one was accepted; 0 for none */
	uint64_t n_accepted, n_done, n_retries, n_refused; /* since start */
	uint64_t n_circles; /* whose destinations were not told for their hops, since start */
};
void delivery_stats(const struct function *function, struct delivery_stats *ret) ON_LOOP;
/* Of the posts of an org; false while there were none. */
bool delivery_post_stats(
	const struct delivery_host *host, const char *org, struct delivery_stats *ret) ON_LOOP;
/* Whether destinations of kind task can be told. */
bool delivery_has_tasks(const struct delivery_host *host);
/* The name of the bus, and whether it answers. */
const char *delivery_bus(const struct delivery_host *host, bool *ret_is_up) ON_LOOP;

#endif
