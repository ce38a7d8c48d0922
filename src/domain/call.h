/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call - one invocation, from admission to its record.
 *
 *	 call_start()
 *	 ADMITTED ──no room──▶ WAITING ──an instance has room──▶ RUNNING ──answer begins──▶
 *ANSWERING └───────────── room ───────────────────────────────────▲             │               │
 *	 from any state: cancelled, deadline, CPU budget, instance lost          ▼               ▼
 *	                                                          call_done(): record, meter, room
 *given back
 *
 * A trigger (HTTP route, direct invoke, later event, schedule, queue) makes a call_request and
 * gets the answer through call_events. The path takes no lock, parses no body and does not touch
 * the store. ON_LOOP.
 */
#ifndef MAYFLY_DOMAIN_CALL_H
#define MAYFLY_DOMAIN_CALL_H

#include "domain/function.h"
#include "runtime/instance.h"

struct call;
struct row_call;

struct call_figures { /* also in its record, with what cpu_us was when the answer was out */
	uint64_t queue_us, wall_us, cpu_us;
	uint64_t memory_peak_bytes, bytes_in, bytes_out;
	uint64_t egress_in, egress_out; /* bytes over its network */
	uint32_t version;
	uint32_t retry_after_s; /* with RATE, NOT_READY and UNAVAILABLE; else 0 */
	bool is_cold;           /* waited for an instance to start */
};

/* on_end or on_failure comes exactly once, last; the call is not to be named any more when it
 * returns. After on_head a failure means that the answer broke off. */
struct call_events {
	void (*on_head)(struct call *call, int status, const struct http_header *headers, size_t n,
		void *arg);
	void (*on_body)(struct call *call, struct str bytes, void *arg);
	void (*on_end)(struct call *call, const struct call_figures *figures, void *arg);
	void (*on_failure)(struct call *call, const struct err *reason, struct str trace,
		const struct call_figures *figures, void *arg);
	void *arg; /* borrowed */
	/* Its record, once it is made: behind on_end and on_failure, perhaps in a later turn, and
	 * for a call that was refused too. Borrowed. NULL for who does not ask. */
	void (*on_record)(const struct row_call *row, void *arg);
};

struct call_request {
	struct function *function;
	struct version *version; /* NULL for the active one */
	enum frame_trigger trigger;
	const char *origin;    /* static, for the record: "async", …; NULL for "http", "direct" */
	char id[ID_ULID_SIZE]; /* made by the trigger, so that its head can name it */
	struct str method, path; /* for the record; copied (DIRECT: "", "") */
	struct str head;         /* JSON for the frame; copied or sent before call_start returns */
	char *body;              /* malloc'd, owned from here on; may be NULL */
	size_t body_len;
	const struct err *refusal; /* why the trigger could not take the body; NULL when it did */
};

/* Refused at once (no active version NOT_READY or FUNCTION_FAILED with its reason, queue full RATE,
 * body over the function's limit TOO_LARGE, stopping UNAVAILABLE, what the trigger found):
 * on_failure runs before call_start returns, with a call record all the same, and NULL is given. */
struct call *call_start(struct domain *domain, struct call_request *request,
	const struct call_events *events) ON_LOOP;

struct call *call_find(const struct domain *domain, struct str org, struct str id);
const char *call_id(const struct call *call);

/* A call in flight from outside; all of it borrowed from the call. */
struct call_seen {
	const struct function *function;
	const struct version *version;
	const char *trigger, *method, *path; /* as its record has them */
	uint64_t started_ms;
	bool is_waiting;
};
void call_see(const struct call *call, struct call_seen *ret);

/* The client went away: ends it as CANCELLED unless the function keeps on; the events are never
 * called again. */
void call_leave(struct call *call) ON_LOOP;

/* By id, through the API: on_failure with CANCELLED for whoever waits. */
void call_cancel(struct call *call) ON_LOOP;

/* In on_head: the body, when the answer came in one piece, so that it can be sent as one. on_body
 * and on_end follow at once all the same. NULL else. */
const struct str *call_whole(const struct call *call);

/* The client takes bytes slower than the function gives them. */
void call_pause(struct call *call, bool is_paused) ON_LOOP;

#endif
