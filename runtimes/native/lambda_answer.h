/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lambda_answer - what a Lambda runtime posts, as frames.
 *
 * Payload format 2.0 of Lambda's function URLs (docs.aws.amazon.com/lambda, "Response payload
 * format"), and its streamed form: a JSON prelude, eight NULs, the body. One thread.
 */
#ifndef MAYFLY_RUNTIMES_LAMBDA_ANSWER_H
#define MAYFLY_RUNTIMES_LAMBDA_ANSWER_H

#include "mf_inside.h"

/* A call that a runtime has taken. */
struct lambda_call {
	struct lambda_call *next;
	uint64_t number;
	char id[27];
	bool is_direct;
	bool is_streamed; /* its answer comes in pieces */
	bool has_head;    /* streamed: the head was sent */
	bool has_prelude; /* streamed: it begins with one */
};

/* A whole answer. */
void lambda_answer_send(
	struct mf_channel *channel, const struct lambda_call *call, const char *body, size_t size);

/* A piece of a streamed answer: gives how many of its bytes were taken (none while a prelude is
 * not whole). An answer whose prelude is broken ends with an error: *ret_is_over. */
size_t lambda_answer_stream(struct mf_channel *channel, struct lambda_call *call, const char *type,
	const char *bytes, size_t size, bool *ret_is_over);
void lambda_answer_stream_end(struct mf_channel *channel, struct lambda_call *call);

/* Lambda's error document, of a call or of the start (FRAME_FAIL). */
void lambda_answer_error(struct mf_channel *channel, enum frame_kind kind, uint64_t call,
	const char *type, const char *body, size_t size);

#endif
