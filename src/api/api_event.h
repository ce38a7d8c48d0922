/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_event - the head of a call by route: the event of Lambda's HTTP payload format 2.0.
 *
 * Source: AWS, "AWS Lambda payload format version 2.0" (API Gateway, HTTP APIs). `body` and
 * `isBase64Encoded` are not written here: the runtime adds them from the bytes of the body
 * (runtime/frame.h). Bytes that are not UTF-8 become U+FFFD. Knows no exchange and no function
 * object; written on the path of every call, so it takes no memory but the output's. Any thread.
 */
#ifndef MAYFLY_API_API_EVENT_H
#define MAYFLY_API_API_EVENT_H

#include "base/buf.h"
#include "base/clock.h"
#include "net/http.h"

/* "21/Nov/2026:12:30:00 +0000", made once a second. Zeroed at first. */
struct api_event_clock {
	uint64_t second;
	char text[32];
};
const char *api_event_time(struct api_event_clock *clock, uint64_t unix_ms);

struct api_event {
	const struct http_request *http; /* borrowed */
	struct str org, function;        /* accountId, apiId */
	struct str proxy;                /* decoded, what is behind the route, no slash in front */
	const char *call_id;
	const char *time; /* as api_event_time() gives it */
	uint64_t unix_ms;
	/* x-vcloud-user, -org and -rights are vCloud Director's word. From anybody else they are
	 * left out, so that a function may believe them. */
	bool has_identity;
};
void api_event_write(const struct api_event *event, struct buf *out);

#endif
