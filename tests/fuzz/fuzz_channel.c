/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_channel - channel_parse(): frames are handed on in order, complete and within their bounds,
 * wherever the bytes are cut. The first byte says where.
 */
#include "fuzz.h"

#include "base/own.h"
#include "runtime/channel.h"

struct fuzz_channel {
	struct channel channel;
	uint64_t n_bytes; /* handed on, with the heads of frames */
	uint64_t next;    /* offset that the next part of a frame must have, 0 for a new frame */
};

static void
fuzz_on_frame(struct channel *channel, const struct channel_frame *frame)
{
	struct fuzz_channel *fuzz = list_owner(channel, struct fuzz_channel, channel);

	must(frame->head.kind >= FRAME_READY && frame->head.kind <= FRAME_LOG);
	must(frame->head.kind != FRAME_CALL);
	must(frame->offset == fuzz->next);
	must(frame->offset + (uint64_t)frame->len <= frame->head.size);
	must(channel_frame_is_last(frame) || frame->head.size > CHANNEL_WHOLE_BYTES);
	fuzz->n_bytes += frame->len + (frame->offset == 0 ? sizeof(frame->head) : 0);
	fuzz->next = channel_frame_is_last(frame) ? 0 : frame->offset + frame->len;
	for (size_t i = 0; i < frame->len; i++)
		frame->at[i] ^= 1;
}

static void
fuzz_on_end(struct channel *channel, const struct err *reason)
{
	err_abort("the parser tells its end by its value", __FILE__, __LINE__);
}

static const struct channel_events fuzz_events = {fuzz_on_frame, fuzz_on_end};

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_channel fuzz = {.channel = {.events = &fuzz_events, .fd = -1}};
	OWN(buf) struct buf in = BUF_INIT;
	size_t step = size > 0 ? bytes[0] + 1u : 1, total = 0;
	struct err err = {0};

	thread_on_loop();
	for (size_t at = 1; at < size; at += step) {
		size_t n = size - at < step ? size - at : step;
		int64_t used;

		buf_add(&in, bytes + at, n);
		total += n;
		used = channel_parse(&fuzz.channel, in.at, in.len, &err);
		if (used < 0) {
			must(used == ERR_ANSWER_INVALID && err.text[0]);
			return 0;
		}
		must((uint64_t)used <= in.len);
		buf_eat(&in, (size_t)used);
	}
	must(fuzz.n_bytes + in.len == total);
	must(in.len < sizeof(struct frame_head) + CHANNEL_WHOLE_BYTES + 1);
	return 0;
}
