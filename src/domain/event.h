/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event - a CloudEvent 1.0 (spec v1.0.2, HTTP protocol binding v1.0.2, JSON format v1.0.2).
 *
 * What comes is foreign bytes. Attribute names are [a-z0-9]{1,20}, their values at most 4096 bytes,
 * at most 64 of them; required are specversion "1.0", id, source (URI-reference), type; time is RFC
 * 3339 (event_attribute.h). An event is at most 256 KiB with its data, a batch at most 100 events
 * and 4 MiB.
 * event_accept() answers after every delivery that the event caused is on disk, and drops an event
 * whose (source, id) was accepted in the last 24 h. ON_LOOP but for parsing, which is pure.
 */
#ifndef MAYFLY_DOMAIN_EVENT_H
#define MAYFLY_DOMAIN_EVENT_H

#include "domain/delivery.h"

enum {
	EVENT_BYTES_MAX = 256 << 10,
	EVENT_BATCH_BYTES_MAX = 4 << 20,
	EVENT_BATCH_MAX = 100,
	EVENT_ATTRIBUTES_MAX = 64,
};

/* An extension of ours: deliveries that led to the event, one by another; what is not there is 0.
 * No event from outside has one whose name begins with EVENT_OWN. */
#define EVENT_HOPS "mayflyhops"
#define EVENT_OWN  "mayfly"

struct event {
	json_t *json; /* owned: attributes, extensions, data or data_base64 */
	char *text;   /* owned: the event in the JSON format, numbers as they came */
	size_t text_len;
	const char *id, *source, *type, *subject /* NULL */, *time /* NULL */; /* into json */
};
void event_done(struct event *event);

static inline void
own_event(struct event *event)
{
	event_done(event);
}

struct event_list {
	struct event *at; /* owned */
	size_t n;
};
void event_list_done(struct event_list *list);

static inline void
own_event_list(struct event_list *list)
{
	event_list_done(list);
}

enum event_mode { EVENT_BINARY, EVENT_STRUCTURED, EVENT_BATCH };
/* By content type: application/cloudevents+json, application/cloudevents-batch+json, else binary
 * with ce- headers. INVALID names the attribute and the rule ("event 3: source is missing");
 * TOO_LARGE; MEDIA_TYPE for another format of CloudEvents. An attribute of ours is INVALID. */
int event_read(const struct http_header *headers, size_t n_headers, struct str body,
	enum event_mode *ret_mode, struct event_list *ret, struct err *err);
/* One of ours: id is a ULID, time now, source "/orgs/<org>/…"; data is borrowed. */
int event_make(const char *source, const char *type, const char *subject, const json_t *data,
	struct event *ret, struct err *err);
/* As headers ("name: value\n") and body of the binary mode, for going out. */
void event_write_binary(const struct event *event, struct buf *headers, struct buf *body);
/* A document of the JSON format. `text` is what it was read from, STR_NONE to write it anew; json
 * is stolen, on failure too. */
int event_adopt(json_t *json, struct str text, struct event *ret, struct err *err);

struct event_accepted {
	unsigned n_events, n_known, n_deliveries;
};
typedef void event_accept_fn(
	int code, const struct event_accepted *accepted, const struct err *err, void *arg);
/* The list is taken over. All of a batch are acknowledged or none: where a delivery is refused
 * (RATE for a full queue), what had reached its queue by then stays there, and is not put again
 * when the batch is sent again. */
void event_accept(struct domain *domain, struct org *org, struct event_list *list,
	event_accept_fn *done, void *arg) ON_LOOP;

/* What a destination of kind event gets: accepted like any other (delivery_config.emit). */
void event_emit(struct domain *domain, const char *org, const struct delivery_event *event,
	void (*done)(int code, const struct err *err, void *arg), void *arg) ON_LOOP;

/* Live: what an org accepts from now on, after those that it still remembers (100, 4 MiB). `id`
 * is a ULID, which later events have higher. */
struct event_follow {
	struct list link; /* list_init() before */
	void (*on_event)(struct event_follow *follow, const char *id, struct str json);
};
/* At most `n` of those, and only behind the id `after` ("" for all). */
void event_follow(
	struct org *org, struct event_follow *follow, unsigned n, const char *after) ON_LOOP;
void event_unfollow(struct event_follow *follow) ON_LOOP;

/* ---- for this room ---- */

struct event_log; /* of an org, owned by it: what it remembers, who follows */
struct event_log *event_log_new(void);
void event_log_free(struct event_log *log); /* followers are left to themselves */
void event_log_add(struct event_log *log, const struct event *event) ON_LOOP;

#endif
