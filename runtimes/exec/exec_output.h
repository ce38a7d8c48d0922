/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_output - what a program prints, as the answer of its call.
 *
 * Output that begins with "Status: NNN" is a CGI header block (RFC 3875, 6.2) and a body; anything
 * else is the body of a 200. It is held back until it is known what it is, and goes out in pieces
 * from then on, if it is long. One thread.
 */
#ifndef MAYFLY_RUNTIMES_EXEC_OUTPUT_H
#define MAYFLY_RUNTIMES_EXEC_OUTPUT_H

#include "mf_inside.h"

struct exec_output {
	struct mf_channel *channel; /* borrowed */
	uint64_t call;
	bool is_direct;  /* the answer is JSON, sent whole */
	bool has_head;   /* it was sent */
	bool is_invalid; /* `reason` says why; nothing more is sent */
	bool is_gone;    /* the daemon is */
	char reason[160];
	struct mf_bytes held;
};

void exec_output_add(struct exec_output *output, const char *bytes, size_t size);

/* Sends what is held: the program is slower than its reader. */
void exec_output_flush(struct exec_output *output);

/* The program is done and did well. */
void exec_output_end(struct exec_output *output);

void exec_output_done(struct exec_output *output);

#endif
