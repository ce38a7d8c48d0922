/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcd_message - an HTTP request that vCloud Director sends over AMQP, and the answer to it.
 *
 * A request is a JSON array: the HTTP message, then the context with the caller's user, org and
 * rights as URNs; what else is in the array is left alone. An answer is one JSON object. Bodies are
 * base64. The fields are those of Payload.java in VMware's vcd-ext-standard-library
 * (documentation/extensibility-platform/api-extensibility.md). The bytes are foreign: at most 16
 * MiB, 100 headers. Knows no AMQP and no function. Pure, any thread.
 */
#ifndef MAYFLY_CONNECT_VCD_MESSAGE_H
#define MAYFLY_CONNECT_VCD_MESSAGE_H

#include "base/json.h"
#include "net/http.h"

enum {
	VCD_MESSAGE_BYTES_MAX = 16 << 20,
	VCD_MESSAGE_HEADERS_MAX = 100,
	VCD_MESSAGE_ID_SIZE = 129,
};

struct vcd_request {
	char id[VCD_MESSAGE_ID_SIZE]; /* "" when not even that was understood */
	bool is_response;             /* an answer of vCD's, sent to be rewritten */
	char method[16];              /* upper case */
	struct buf path, query;       /* owned; encoded as they came */
	char scheme[8], protocol[12], peer[64];
	struct http_header headers[VCD_MESSAGE_HEADERS_MAX]; /* into `text`; names lower case */
	size_t n_headers;
	struct buf text; /* owned */
	struct buf body; /* owned; of a form that vCD has taken apart: put together again */
	char user[128], org[128]; /* URNs, "" where there is none */
	json_t *rights;           /* owned: array of URNs; NULL without */
};

/* INVALID names the field. To be released in either case; *ret has the id of a request that could
 * be told. */
int vcd_message_read(struct str bytes, struct vcd_request *ret, struct err *err);
void vcd_message_done(struct vcd_request *request);

/* The same of what was parsed already, but for the id: an HTTP message and its context. */
int vcd_message_take(
	const json_t *message, const json_t *context, struct vcd_request *ret, struct err *err);

struct vcd_answer {
	const char *id; /* of the request */
	int status;
	const struct http_header *headers; /* Content-Length is added */
	size_t n_headers;
	struct str body;
};
void vcd_message_write(const struct vcd_answer *answer, struct buf *out);
/* Its members statusCode, headers and body, without braces. */
void vcd_message_write_http(const struct vcd_answer *answer, struct buf *out);

static inline void
own_vcd_request(struct vcd_request *request)
{
	vcd_message_done(request);
}

#endif
