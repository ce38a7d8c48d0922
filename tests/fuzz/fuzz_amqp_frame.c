/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_amqp_frame - frames between the daemon and mayfly-amqp: whatever comes, what is read lies
 * within it, and a message that was read is written again as it was.
 */
#include "fuzz.h"

#include "amqp/amqp_frame.h"
#include "base/own.h"

static void
fuzz_within(struct str part, struct str whole)
{
	must(part.len == 0 || (part.at >= whole.at && part.len <= whole.len &&
				      part.at + part.len <= whole.at + whole.len));
}

static void
fuzz_message(struct str texts)
{
	struct amqp_header headers[AMQP_MESSAGE_HEADERS];
	OWN(buf) struct buf again = BUF_INIT;
	struct amqp_message message;

	if (!amqp_frame_take_message(texts, &message, headers))
		return;
	must(message.n_headers <= AMQP_MESSAGE_HEADERS);
	fuzz_within(message.body, texts);
	for (size_t i = 0; i < message.n_headers; i++) {
		fuzz_within(message.headers[i].key, texts);
		fuzz_within(message.headers[i].value, texts);
	}
	amqp_frame_add_message(&again, &message);
	must(str_eq(buf_str(&again), texts));
}

static void
fuzz_texts(struct str texts)
{
	struct str rest = texts, text;
	size_t n = 0;

	while (peer_frame_take(&rest, &text)) {
		fuzz_within(text, texts);
		n += text.len + sizeof(uint32_t);
	}
	must(n + rest.len == texts.len && text.len == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct str rest = str_n(bytes, size);

	for (;;) {
		struct peer_frame frame;
		struct err err = {0};
		struct str texts;
		int64_t n = peer_frame_next(rest, AMQP_FRAME_KINDS, &frame, &texts, &err);

		if (n < 0)
			must(n == ERR_INVALID && err.text[0]);
		if (n <= 0)
			return 0;
		must((uint64_t)n == sizeof(frame) + texts.len && (uint64_t)n <= rest.len);
		fuzz_within(texts, rest);
		fuzz_message(texts);
		fuzz_texts(texts);
		rest = str_n(rest.at + n, rest.len - (size_t)n);
	}
}
