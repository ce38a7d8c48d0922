/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_sse - an answer of server-sent events (HTML Living Standard, 9.2), until somebody ends it.
 *
 * Stands inside what follows something. A client that is slower than the events misses some and is
 * told how many by the event `dropped` {"n"}; a beat each 15 s shows whether it is still there and
 * keeps proxies from closing. It ends when the org or the token is gone. Knows no log and no event
 * of an org. ON_LOOP.
 */
#ifndef MAYFLY_API_API_SSE_H
#define MAYFLY_API_API_SSE_H

#include "api/api_request.h"

struct api_sse {
	struct api_waiter waiter;
	struct loop_timer beat;
	struct http_exchange *exchange;      /* borrowed */
	struct domain *domain;               /* borrowed */
	char org[64], token[ID_SHA256_SIZE]; /* who follows: looked at with each beat */
	uint64_t n_dropped;
	bool is_full;
	void (*on_end)(struct api_sse *sse); /* once: unfollow */
	void *owner;                         /* owned: freed when all of it has ended */
};

/* on_end and owner are set, the rest is zero. Takes the request over and begins the answer; false:
 * too many follow, the request was answered with that and the owner is freed. */
bool api_sse_begin(struct api_sse *sse, struct api_request *request) ON_LOOP;

/* False: the client is behind, and misses what would be written now; or may not see it any more,
 * and is left at the next beat. */
bool api_sse_has_room(struct api_sse *sse) ON_LOOP;
/* Where a client that has seen nothing yet would go on. */
void api_sse_position(struct api_sse *sse, const char *id) ON_LOOP;
/* id may be NULL. */
void api_sse_write(struct api_sse *sse, const char *id, const char *event, struct str json) ON_LOOP;

#endif
