/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_frame - what the daemon and a process of peer_process.h say to each other: a head and texts
 * behind it.
 *
 * Which kinds there are, and what stands in the texts of each, says the room that the process
 * belongs to. Both are of one machine and one build, so numbers are as the machine has them. What
 * comes is checked as if it came from a stranger: the daemon does not believe a process that reads
 * foreign bytes. Knows no socket. Any process. Fuzzed by fuzz_amqp_frame.
 */
#ifndef MAYFLY_PEER_FRAME_H
#define MAYFLY_PEER_FRAME_H

#include "base/buf.h"
#include "base/err.h"

struct peer_frame {
	uint32_t size; /* of the texts behind the head; peer_frame_end() sets it */
	uint16_t kind, flags;
	int32_t code;             /* 0 or a negative enum err_code */
	uint32_t consumer, count; /* of the kind, as is number */
	uint32_t zero;
	uint64_t number;
};

#define PEER_FRAME_BYTES (132u << 20) /* texts of a frame */

/* Writing: begin, texts, end. */
size_t peer_frame_begin(struct buf *out, const struct peer_frame *head);
void peer_frame_add(struct buf *out, struct str text);
void peer_frame_end(struct buf *out, size_t begun);

/* The frame that `bytes` begins with, of a kind from 1 to kinds - 1: gives how many bytes it has, 0
 * while some are missing, ERR_INVALID for what is none. The texts are borrowed. */
int64_t peer_frame_next(struct str bytes, unsigned kinds, struct peer_frame *ret,
	struct str *ret_texts, struct err *err);
/* The next of the texts; false, and "", when there is none that is whole. */
bool peer_frame_take(struct str *texts, struct str *ret);
/* The next n bytes of them, as they are. */
bool peer_frame_cut(struct str *texts, void *ret, size_t n);

#endif
