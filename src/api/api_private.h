/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_private - the state that the files of this room share. ON_LOOP.
 */
#ifndef MAYFLY_API_API_PRIVATE_H
#define MAYFLY_API_API_PRIVATE_H

#include "api/api.h"
#include "api/api_event.h"
#include "api/api_waiter.h"
#include "base/list.h"
#include "base/map.h"

enum { API_CONNECTIONS_MAX = 8 };

struct api {
	struct domain *domain;                 /* borrowed */
	const struct doctor_finding *findings; /* borrowed */
	size_t n_findings;
	bool is_metrics_open;
	size_t (*look)(struct doctor_finding *ret, size_t n, void *arg);
	void (*write_metrics)(struct buf *out, void *arg);
	void *arg;                        /* borrowed: of these two */
	const struct http_server *server; /* borrowed */
	struct http_handler handler;
	const char *not_ready;      /* NULL when ready */
	struct buf openapi;         /* owned: the document */
	struct map uploads;         /* "org/digest" → struct api_upload, owned: api_code.c */
	struct list uploads_by_age; /* of struct api_upload, oldest first */
	struct api_waiters waiters;
	struct list spare_invokes; /* of struct api_invoke, owned: api_invoke.c */
	unsigned n_spare_invokes;
	struct api_event_clock clock;
	struct buf path, event; /* owned: what a call by route is made with, used again */
	uint64_t started_ms;
};

#endif
