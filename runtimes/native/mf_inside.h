/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mf_inside - what the files of libmayfly share, and lend to mayfly's own adapters.
 *
 * Knows the frames of src/runtime/frame.h. Stands alone: a function is linked with libmayfly and
 * with nothing else of mayfly. One thread.
 */
#ifndef MAYFLY_RUNTIMES_MF_INSIDE_H
#define MAYFLY_RUNTIMES_MF_INSIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mayfly.h"
#include "runtime/frame.h"

/* As realloc(3), but ends the program when memory is out. */
void *mf_memory(void *old, size_t size);

/* Bytes of the well-formed UTF-8 character at `text`, 0 where there is none (RFC 3629). */
size_t mf_utf8_step(const char *text, size_t size);
bool mf_is_utf8(const char *text, size_t size);

/* ---- bytes that grow ---- */
struct mf_bytes {
	char *at; /* owned; NUL behind `size` bytes once there are any */
	size_t size, cap;
};

void mf_bytes_add(struct mf_bytes *bytes, const void *more, size_t size);
void mf_bytes_print(struct mf_bytes *bytes, const char *text);
void mf_bytes_print_json(struct mf_bytes *bytes, const char *text, size_t size);
void mf_bytes_add_base64(struct mf_bytes *bytes, const void *more, size_t size);
/* False for what is no base64 (RFC 4648, padding may be missing). */
bool mf_bytes_add_from_base64(struct mf_bytes *bytes, const char *text, size_t size);
void mf_bytes_done(struct mf_bytes *bytes);

/* ---- frames ---- */
struct mf_frame {
	struct frame_head head;
	const char *payload; /* borrowed until the next frame is read */
};

struct mf_channel {
	int fd;
	struct mf_bytes in;
	size_t in_at; /* bytes of `in` that were handed over */
};

/* False when the daemon is gone. */
bool mf_channel_read(struct mf_channel *channel, struct mf_frame *ret);
bool mf_channel_has_frame(const struct mf_channel *channel); /* a whole one was read already */
bool mf_channel_send(struct mf_channel *channel, enum frame_kind kind, uint8_t flags, uint64_t call,
	const void *payload, size_t size);
bool mf_channel_answer(struct mf_channel *channel, uint64_t call, const struct mf_bytes *head,
	const void *body, size_t size);
bool mf_channel_error(struct mf_channel *channel, enum frame_kind kind, uint64_t call,
	const char *type, const char *message, const char *trace);

/* A CALL frame in parts; false if it is shorter than it says. */
struct mf_call {
	struct frame_call start;
	const char *head, *body;
	size_t head_size, body_size;
};
bool mf_call_parse(const struct mf_frame *frame, struct mf_call *ret);

/* The event of a call as a Lambda runtime gets it: with `body` and `isBase64Encoded`. */
void mf_call_event(const struct mf_call *call, struct mf_bytes *out);

/* Adds "name:value\n"; false for what is no header. */
bool mf_head_add(struct mf_bytes *head, const char *name, const char *value);

/* ---- requests ---- */
struct mf_request {
	char call_id[27];
	bool is_direct;
	struct frame_call start;
	struct mf_json event;
	struct mf_bytes head, body;
	char *method, *path, *query; /* owned */
	struct mf_text {
		struct mf_text *next;
		char text[];
	} * texts; /* owned: what accessors gave */
};

void mf_request_init(struct mf_request *request, const struct mf_call *call);
void mf_request_done(struct mf_request *request);

#endif
