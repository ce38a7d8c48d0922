/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetch - HTTP requests of the daemon to others: callbacks, destinations, cells of a cloud.
 *
 * libcurl's multi interface on the loop. http and https only, no redirects, certificates are
 * checked, the answer is bounded. Every address that a name resolves to is looked at before it is
 * connected to (egress_policy.h): what is not of the open Internet only where the provider allows
 * it, so that a callback URL of a tenant reaches neither loopback nor metadata services.
 * Knows no function and no call. ON_LOOP.
 */
#ifndef MAYFLY_NET_FETCH_H
#define MAYFLY_NET_FETCH_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "base/thread.h"
#include "net/egress_policy.h"

struct loop;
struct fetch_host;

struct fetch_config {
	struct loop *loop;                 /* borrowed */
	const struct egress_range *ranges; /* borrowed: private ones that the provider allows */
	size_t n_ranges;
	unsigned max_at_once; /* 64; others wait */
	unsigned connect_ms;  /* 5 s */
};
int fetch_open(const struct fetch_config *config, struct fetch_host **ret, struct err *err);
/* Those that run end with UNAVAILABLE. */
void fetch_close(struct fetch_host *host);

/* http(s), a host, no user or password, at most 2048 bytes; err says which of it is wrong. */
int fetch_check_url(struct str url, struct err *err);

/* "name: value" as it may be sent: a token, and no control characters. */
bool fetch_header_is_sound(struct str header);

struct fetch {
	struct list link; /* private */
	const char *method, *url;
	const char *const
		*headers; /* NULL-terminated "name: value"; names and values are checked */
	struct str body;
	unsigned timeout_ms; /* of the whole exchange */
	size_t answer_bytes; /* more is cut off */
	bool is_trusted;     /* the provider's own URL: any address */
	const char *ca_file; /* NULL for the system's */
	/* status 0 with code < 0: no answer (UNAVAILABLE, TIMEOUT, FORBIDDEN for an address that
	 * may not be reached). Comes exactly once, never before fetch_start() returned. */
	void (*done)(struct fetch *fetch, int status, const struct err *err);
	struct buf answer_headers; /* owned: "name: value\n", names lower case */
	struct buf answer;         /* owned */
	void *private_state;
};
/* All of it is borrowed until done. */
void fetch_start(struct fetch_host *host, struct fetch *fetch) ON_LOOP;
void fetch_cancel(struct fetch_host *host, struct fetch *fetch) ON_LOOP; /* done() does not come */
void fetch_done(struct fetch *fetch);                                    /* gives back the answer */

#endif
