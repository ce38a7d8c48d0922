/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame - the messages between the daemon and a function, on descriptor 3 of its runtime.
 *
 * A unix stream socket carries frames: a 16-byte head, then `size` bytes. Integers are
 * little-endian. Several calls may be in flight (`concurrency`); `call` tells them apart: it is
 * chosen by the daemon, unique on the channel, 0 for frames that belong to no call.
 *
 *	daemon                                 function
 *	  INIT  "KEY=VALUE\0" …           ──▶   mayfly-init makes the environment of it, then
 *	                                         starts the runtime, which loads the handler
 *	                                  ◀──   READY, or FAIL type\0message\0trace
 *	  CALL  struct frame_call,         ──▶   runs the handler
 *	        head, body                ◀──   ANSWER u32 head_size, head, body
 *	                                         or ANSWER_HEAD head, ANSWER_BODY…, ANSWER_END
 *	                                         or ERROR type\0message\0trace
 *	                                  ◀──   LOG (flags 1 stdout, 2 stderr), any time in a call
 *	  CANCEL                           ──▶   the caller does not wait any more
 *	                                  ◀──   FAIL after READY: it cannot go on; what is in
 *	                                         flight fails with it, and nothing else comes
 *
 * INIT always has MAYFLY_HANDLER ("index.handler", the program for exec and native), MAYFLY_ORG,
 * MAYFLY_FUNCTION, MAYFLY_VERSION, MAYFLY_MEMORY_MIB, MAYFLY_TIMEOUT_MS, MAYFLY_CONCURRENCY,
 * MAYFLY_RUNTIME ("node20"), MAYFLY_ISOLATION ("call", "instance"), then the function's own
 * variables, which cannot begin with MAYFLY_.
 *
 * With MAYFLY_ISOLATION "call" the state in which a runtime has said READY and waits for CALL is
 * the one that it is brought back to after each answer (keeper/keeper.h): it waits in a read of
 * this socket, or in a poll of it.
 *
 * The head of CALL is JSON written by the daemon. Trigger HTTP: the event of Lambda's HTTP payload
 * format 2.0 without `body` and `isBase64Encoded`, which the runtime adds from the bytes of the
 * body (a body is text where its content-type says so or it has none, and it is UTF-8; else
 * base64). Trigger DIRECT: an empty head; the body is the event's JSON as the caller sent it, empty
 * for null.
 *
 * The head of an answer is text, one line each, ended by LF: the status in three digits, then
 * "name:value" headers (name a token, value without controls; at most 100 lines, 32 KiB). For
 * DIRECT the status is 200 and the body is the JSON of what the handler gave.
 *
 * The function's side is hostile: whatever breaks these rules ends the instance.
 */
#ifndef MAYFLY_RUNTIME_FRAME_H
#define MAYFLY_RUNTIME_FRAME_H

#include <stdint.h>

#define FRAME_FD 3

enum frame_kind {
	FRAME_INIT = 1,
	FRAME_READY = 2,
	FRAME_FAIL = 3,
	FRAME_CALL = 4,
	FRAME_ANSWER = 5,
	FRAME_ANSWER_HEAD = 6,
	FRAME_ANSWER_BODY = 7,
	FRAME_ANSWER_END = 8,
	FRAME_ERROR = 9,
	FRAME_LOG = 10,
	FRAME_CANCEL = 11,
};

enum frame_flags { FRAME_STDOUT = 1, FRAME_STDERR = 2 };

struct frame_head {
	uint32_t size; /* bytes behind this head */
	uint8_t kind;  /* enum frame_kind */
	uint8_t flags; /* enum frame_flags for LOG, else 0 */
	uint16_t zero;
	uint64_t call;
};
_Static_assert(sizeof(struct frame_head) == 16, "frames have a head of 16 bytes");

enum frame_trigger { FRAME_DIRECT = 0, FRAME_HTTP = 1 };

/* The start of a CALL's payload; head_size bytes of JSON and then the body follow. */
struct frame_call {
	uint8_t random[32]; /* fresh for this call: the runtime reseeds its generators from it */
	char call_id[26];   /* ULID */
	uint8_t trigger;    /* enum frame_trigger */
	uint8_t zero[5];
	uint64_t deadline_unix_ms;
	uint32_t head_size;
	uint32_t zero2;
};
_Static_assert(sizeof(struct frame_call) == 80, "a call begins with 80 bytes");

#endif
