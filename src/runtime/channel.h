/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel - the daemon's end of a function's frame socket: bytes to frames and back.
 *
 * What is sent in a turn of the loop leaves in one system call at its end. What is received is
 * bounded before memory is taken for it: each kind of frame has a largest size, and of the two
 * that may be long (ANSWER, ANSWER_BODY) a frame over CHANNEL_WHOLE_BYTES is handed on in parts,
 * so that a channel never holds more than that and one read.
 *
 * The other side is hostile. Here it is held to the form of frames (known kind, size, zero
 * fields); whether a frame fits the moment is instance.c's business. Knows no call. ON_LOOP.
 * Invariant: after channel_close() no event is called.
 */
#ifndef MAYFLY_RUNTIME_CHANNEL_H
#define MAYFLY_RUNTIME_CHANNEL_H

#include "base/buf.h"
#include "base/err.h"
#include "net/loop.h"
#include "runtime/frame.h"

enum {
	CHANNEL_WHOLE_BYTES = 256 * 1024,
	CHANNEL_PART_BYTES = 64 * 1024, /* least size of the first part */
	CHANNEL_TEXT_BYTES = 64 * 1024, /* most of FAIL, ERROR, LOG and ANSWER_HEAD */
};

struct channel_frame {
	struct frame_head head;
	uint32_t offset; /* of `at` in the payload; 0 for the first part and for whole frames */
	char *at;        /* borrowed for the event, which may write in it */
	size_t len;
};

static inline bool
channel_frame_is_last(const struct channel_frame *frame)
{
	return frame->offset + (uint64_t)frame->len == frame->head.size;
}

struct channel;

struct channel_events {
	void (*on_frame)(struct channel *channel, const struct channel_frame *frame);
	/* Nothing more will come: code 0 when the other side closed, ANSWER_INVALID when it broke
	 * the form. The owner closes the channel, here or later. */
	void (*on_end)(struct channel *channel, const struct err *reason);
};

struct channel {
	const struct channel_events *events; /* borrowed */
	struct loop *loop;                   /* borrowed */
	int fd;                              /* owned; -1 once closed */
	struct loop_watch *watch;            /* owned */
	struct loop_flush flush;             /* writes `out`; parses `in` after a pause */
	struct buf in, out;
	struct frame_head head; /* of the frame that is handed on in parts */
	uint32_t n_left;        /* bytes of it still to come */
	bool is_paused, is_blocked, is_mute, is_ended, is_parsing;
};

/* Takes over the non-blocking socket, also when it fails. */
int channel_open(struct channel *channel, struct loop *loop, int fd,
	const struct channel_events *events, struct err *err) ON_LOOP;
void channel_close(struct channel *channel) ON_LOOP; /* harmless twice, and from an event */

/* Sends a frame whose payload is the n parts in order. They are copied or written on return. */
void channel_send(struct channel *channel, enum frame_kind kind, uint64_t call,
	const struct str *parts, size_t n) ON_LOOP;

/* Stops and resumes reading. What was read already waits. */
void channel_pause(struct channel *channel, bool is_paused) ON_LOOP;

/* The other side is dead: reads and hands on what is still in the socket, paused or not. */
void channel_drain(struct channel *channel) ON_LOOP;

/* Whether all that came was handed on, to the end of a frame, and all that was sent is out. */
bool channel_is_at_rest(const struct channel *channel);

/* The parser alone: hands on the frames in the n bytes at `bytes` and gives how many it used, or
 * an error (told by the caller with on_end). */
int64_t channel_parse(struct channel *channel, char *bytes, size_t n, struct err *err) ON_LOOP;

#endif
