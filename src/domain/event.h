/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event - a CloudEvent 1.0 (spec v1.0.2, HTTP protocol binding v1.0.2, JSON format v1.0.2).
 *
 * What comes is foreign bytes. Attribute names are [a-z0-9]{1,20},
 * required are specversion "1.0", id, source (URI-reference), type; time is RFC 3339. An event is
 * at most 256 KiB with its data, a batch at most 100 events and 4 MiB.
 * event_accept() answers after every delivery that the event caused is on disk, and drops an event
 * whose (source, id) was accepted in the last 24 h. ON_LOOP but for parsing, which is pure.
 */
#ifndef MAYFLY_DOMAIN_EVENT_H
#define MAYFLY_DOMAIN_EVENT_H

#include "domain/delivery.h"

struct event {
	json_t *json; /* owned: the event in JSON format: attributes, extensions, data, data_base64
		       */
	const char *id, *source, *type, *subject /* NULL */, *time /* NULL */; /* into json */
};
void event_done(struct event *event);

struct event_list {
	struct event *at; /* owned */
	size_t n;
};
void event_list_done(struct event_list *list);

enum event_mode { EVENT_BINARY, EVENT_STRUCTURED, EVENT_BATCH };
/* By content type: application/cloudevents+json, application/cloudevents-batch+json, else binary
 * with ce- headers. INVALID names the attribute and the rule ("event 3: source is missing"). */
int event_read(const struct http_header *headers, size_t n_headers, struct str body,
	enum event_mode *ret_mode, struct event_list *ret, struct err *err);
/* One of ours: id is a ULID, time now, source "/orgs/<org>/…"; data is borrowed. */
int event_make(const char *source, const char *type, const char *subject, const json_t *data,
	struct event *ret, struct err *err);
/* As headers and body of the binary mode, for going out. */
void event_write_binary(const struct event *event, struct buf *headers, struct buf *body);

struct event_accepted {
	unsigned n_events, n_known, n_deliveries;
};
typedef void event_accept_fn(
	int code, const struct event_accepted *accepted, const struct err *err, void *arg);
/* The list is taken over. All of a batch or nothing. */
void event_accept(struct domain *domain, struct org *org, struct event_list *list,
	event_accept_fn *done, void *arg) ON_LOOP;

/* Live: what an org accepts from now on, after the newest `n` (at most 100) it still knows. */
struct event_follow {
	struct list link; /* list_init() before */
	void (*on_event)(struct event_follow *follow, const struct event *event);
};
void event_follow(struct org *org, struct event_follow *follow, unsigned n) ON_LOOP;
void event_unfollow(struct event_follow *follow) ON_LOOP;

#endif
