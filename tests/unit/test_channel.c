/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "runtime/channel.h"

/* The function's side is played by the test, between turns of the loop. */
struct place {
	struct loop *loop;
	struct channel channel;
	int peer;
	struct buf seen; /* "kind:call:offset:len " for each event */
	struct buf payload;
	struct err end;
	unsigned n_ends;
	bool pauses, closes; /* what the event does */
};

static void ON_LOOP
on_frame(struct channel *channel, const struct channel_frame *frame)
{
	struct place *place = list_owner(channel, struct place, channel);

	buf_printf(&place->seen, "%u:%llu:%u:%zu ", frame->head.kind,
		(unsigned long long)frame->head.call, frame->offset, frame->len);
	buf_add(&place->payload, frame->at, frame->len);
	if (place->pauses)
		channel_pause(channel, true);
	if (place->closes)
		channel_close(channel);
}

static void
on_end(struct channel *channel, const struct err *reason)
{
	struct place *place = list_owner(channel, struct place, channel);

	place->end = *reason;
	place->n_ends++;
}

static const struct channel_events events = {on_frame, on_end};

static struct place *ON_LOOP
place_new(void)
{
	struct place *place = mem_new(sizeof(*place));
	struct err err = {0};
	int fds[2];

	assert_int_equal(loop_new(&place->loop, &err), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	fcntl(fds[1], F_SETFL, O_NONBLOCK);
	place->peer = fds[1];
	assert_int_equal(channel_open(&place->channel, place->loop, fds[0], &events, &err), 0);
	return place;
}

static void
place_free(struct place *place)
{
	thread_on_loop();
	channel_close(&place->channel);
	if (place->peer >= 0)
		close(place->peer);
	loop_free(place->loop);
	buf_done(&place->seen);
	buf_done(&place->payload);
	free(place);
}

OWN_DEFINE(place, struct place *, place_free)

static void
turn(struct place *place)
{
	for (int i = 0; i < 3; i++)
		uv_run(loop_uv(place->loop), UV_RUN_NOWAIT);
}

static void
add_frame(struct buf *bytes, uint8_t kind, uint64_t call, size_t size)
{
	struct frame_head head = {.size = (uint32_t)size, .kind = kind, .call = call};

	buf_add(bytes, &head, sizeof(head));
	for (size_t i = 0; i < size; i++)
		buf_add_char(bytes, (char)('a' + i % 26));
}

/* Writes all of it, with turns of the loop where the socket is full. */
static void
send_all(struct place *place, struct str bytes)
{
	while (bytes.len > 0) {
		ssize_t n = write(place->peer, bytes.at, bytes.len);

		if (n < 0) {
			assert_int_equal(errno, EAGAIN);
			turn(place);
			continue;
		}
		bytes.at += n;
		bytes.len -= (size_t)n;
	}
	turn(place);
}

/* ---- reading ---- */

static void ON_LOOP
frames_arrive_whole_and_in_order(void **state)
{
	OWN(place) struct place *place = place_new();
	OWN(buf) struct buf bytes = BUF_INIT;

	add_frame(&bytes, FRAME_READY, 0, 0);
	add_frame(&bytes, FRAME_LOG, 7, 5);
	add_frame(&bytes, FRAME_ANSWER, 9, 100000);
	send_all(place, buf_str(&bytes));
	assert_string_equal(place->seen.at, "2:0:0:0 10:7:0:5 5:9:0:100000 ");
	assert_int_equal(place->n_ends, 0);
}

static void ON_LOOP
frames_may_come_byte_by_byte(void **state)
{
	OWN(place) struct place *place = place_new();
	OWN(buf) struct buf bytes = BUF_INIT;

	add_frame(&bytes, FRAME_LOG, 1, 30);
	add_frame(&bytes, FRAME_ANSWER_END, 1, 0);
	for (size_t i = 0; i < bytes.len; i++)
		send_all(place, str_n(bytes.at + i, 1));
	assert_string_equal(place->seen.at, "10:1:0:30 8:1:0:0 ");
	assert_memory_equal(place->payload.at, "abcdefghijklmnopqrstuvwxyzabcd", 30);
}

static void ON_LOOP
a_long_answer_comes_in_parts_and_whole_in_sum(void **state)
{
	OWN(place) struct place *place = place_new();
	OWN(buf) struct buf bytes = BUF_INIT;
	size_t size = 3 << 20;

	add_frame(&bytes, FRAME_ANSWER, 5, size);
	add_frame(&bytes, FRAME_ANSWER_END, 6, 0);
	send_all(place, buf_str(&bytes));
	assert_int_equal(place->payload.len, size);
	assert_memory_equal(place->payload.at, bytes.at + sizeof(struct frame_head), size);
	assert_true(str_starts(buf_str(&place->seen), STR("5:5:0:")));
	assert_true(str_ends(buf_str(&place->seen), STR(" 8:6:0:0 ")));
	assert_true(place->channel.in.cap <= CHANNEL_WHOLE_BYTES);
}

static void ON_LOOP
broken(uint8_t kind, size_t size, uint16_t zero, uint8_t flags, const char *why)
{
	OWN(place) struct place *place = place_new();
	struct frame_head head = {
		.size = (uint32_t)size, .kind = kind, .zero = zero, .flags = flags};

	send_all(place, str_n(&head, sizeof(head)));
	assert_int_equal(place->n_ends, 1);
	assert_int_equal(place->end.code, ERR_ANSWER_INVALID);
	assert_non_null(strstr(place->end.text, why));
	assert_int_equal(place->seen.len, 0);
}

static void ON_LOOP
a_frame_that_breaks_the_form_ends_the_channel(void **state)
{
	broken(0, 0, 0, 0, "unknown kind 0");
	broken(77, 0, 0, 0, "unknown kind 77");
	broken(FRAME_INIT, 0, 0, 0, "unknown kind 1");
	broken(FRAME_CALL, 0, 0, 0, "unknown kind 4");
	broken(FRAME_CANCEL, 0, 0, 0, "unknown kind 11");
	broken(FRAME_READY, 1, 0, 0, "at most 0");
	broken(FRAME_ANSWER_END, 1, 0, 0, "at most 0");
	broken(FRAME_LOG, CHANNEL_TEXT_BYTES + 1, 0, 0, "at most 65536");
	broken(FRAME_ERROR, UINT32_MAX, 0, 0, "at most 65536");
	broken(FRAME_ANSWER_HEAD, CHANNEL_TEXT_BYTES + 1, 0, 0, "at most 65536");
	broken(FRAME_READY, 0, 1, 0, "must be zero");
	broken(FRAME_ANSWER, 4, 0, 1, "must be zero");
}

static void ON_LOOP
after_a_broken_frame_nothing_is_handed_on(void **state)
{
	OWN(place) struct place *place = place_new();
	OWN(buf) struct buf bytes = BUF_INIT;

	add_frame(&bytes, FRAME_LOG, 1, 1);
	add_frame(&bytes, 99, 0, 0);
	add_frame(&bytes, FRAME_LOG, 1, 1);
	send_all(place, buf_str(&bytes));
	assert_string_equal(place->seen.at, "10:1:0:1 ");
	assert_int_equal(place->n_ends, 1);
}

static void ON_LOOP
the_end_of_the_other_side_is_told_after_its_last_frame(void **state)
{
	OWN(place) struct place *place = place_new();
	OWN(buf) struct buf bytes = BUF_INIT;

	add_frame(&bytes, FRAME_LOG, 1, 1);
	send_all(place, str_n(bytes.at, 4));
	assert_int_equal((int)write(place->peer, bytes.at + 4, bytes.len - 4), (int)bytes.len - 4);
	close(take_fd(&place->peer));
	turn(place);
	turn(place);
	assert_string_equal(place->seen.at, "10:1:0:1 ");
	assert_int_equal(place->n_ends, 1);
	assert_int_equal(place->end.code, 0);
}

static void ON_LOOP
a_paused_channel_keeps_what_it_has_read(void **state)
{
	OWN(place) struct place *place = place_new();
	OWN(buf) struct buf bytes = BUF_INIT;

	place->pauses = true;
	add_frame(&bytes, FRAME_LOG, 1, 1);
	add_frame(&bytes, FRAME_LOG, 2, 2);
	send_all(place, buf_str(&bytes));
	assert_string_equal(place->seen.at, "10:1:0:1 ");
	place->pauses = false;
	channel_pause(&place->channel, false);
	turn(place);
	assert_string_equal(place->seen.at, "10:1:0:1 10:2:0:2 ");
}

static void ON_LOOP
a_channel_can_be_closed_from_its_event(void **state)
{
	OWN(place) struct place *place = place_new();
	OWN(buf) struct buf bytes = BUF_INIT;

	place->closes = true;
	add_frame(&bytes, FRAME_LOG, 1, 10);
	add_frame(&bytes, FRAME_LOG, 1, 10);
	send_all(place, str_n(bytes.at, 8));
	send_all(place, str_n(bytes.at + 8, bytes.len - 8));
	assert_string_equal(place->seen.at, "10:1:0:10 ");
	assert_int_equal(place->n_ends, 0);
}

/* ---- writing ---- */

static void
receive_all(struct place *place, struct buf *ret)
{
	for (int quiet = 0; quiet < 3;) {
		ssize_t n = read(place->peer, buf_room(ret, 1 << 16), 1 << 16);

		if (n > 0)
			buf_grew(ret, (size_t)n);
		quiet = n > 0 ? 0 : quiet + 1;
		turn(place);
	}
}

static void ON_LOOP
what_is_sent_in_a_turn_leaves_at_its_end(void **state)
{
	OWN(place) struct place *place = place_new();
	OWN(buf) struct buf got = BUF_INIT;
	const struct str parts[] = {STR("ab"), STR_NONE, STR("c")};
	struct frame_head head;
	char early;

	channel_send(&place->channel, FRAME_CALL, 3, parts, 3);
	channel_send(&place->channel, FRAME_CANCEL, 4, NULL, 0);
	assert_int_equal(read(place->peer, &early, 1), -1);
	receive_all(place, &got);
	assert_int_equal(got.len, 2 * sizeof(head) + 3);
	memcpy(&head, got.at, sizeof(head));
	assert_int_equal(head.size, 3);
	assert_int_equal(head.kind, FRAME_CALL);
	assert_int_equal(head.call, 3);
	assert_memory_equal(got.at + sizeof(head), "abc", 3);
	memcpy(&head, got.at + sizeof(head) + 3, sizeof(head));
	assert_int_equal(head.kind, FRAME_CANCEL);
	assert_int_equal(head.size, 0);
}

static void ON_LOOP
a_slow_reader_gets_every_byte_in_order(void **state)
{
	OWN(place) struct place *place = place_new();
	OWN(buf) struct buf big = BUF_INIT;
	OWN(buf) struct buf want = BUF_INIT;
	OWN(buf) struct buf got = BUF_INIT;
	struct str part;

	for (size_t i = 0; i < 2 << 20; i++)
		buf_add_char(&big, (char)(i * 7 % 251));
	for (int i = 0; i < 4; i++) {
		size_t size = i % 2 ? 100 : big.len;
		struct frame_head head = {
			.size = (uint32_t)size, .kind = FRAME_CALL, .call = (uint64_t)i};

		part = str_n(big.at, size);
		channel_send(&place->channel, FRAME_CALL, (uint64_t)i, &part, 1);
		buf_add(&want, &head, sizeof(head));
		buf_add(&want, big.at, size);
		turn(place);
	}
	assert_true(place->channel.is_blocked);
	receive_all(place, &got);
	assert_int_equal(got.len, want.len);
	assert_memory_equal(got.at, want.at, want.len);
	assert_false(place->channel.is_blocked);
	assert_int_equal(place->channel.out.cap, 0);
}

static void ON_LOOP
sending_to_one_that_is_gone_does_no_harm(void **state)
{
	OWN(place) struct place *place = place_new();
	struct str part = STR("x");

	close(take_fd(&place->peer));
	for (int i = 0; i < 3; i++) {
		channel_send(&place->channel, FRAME_CALL, 1, &part, 1);
		turn(place);
	}
	assert_int_equal(place->n_ends, 1);
	assert_int_equal(place->end.code, 0);
	assert_int_equal(place->channel.out.len, 0);
	channel_close(&place->channel);
	channel_send(&place->channel, FRAME_CALL, 1, &part, 1);
}

UNIT_TESTS(it(frames_arrive_whole_and_in_order), it(frames_may_come_byte_by_byte),
	it(a_long_answer_comes_in_parts_and_whole_in_sum),
	it(a_frame_that_breaks_the_form_ends_the_channel),
	it(after_a_broken_frame_nothing_is_handed_on),
	it(the_end_of_the_other_side_is_told_after_its_last_frame),
	it(a_paused_channel_keeps_what_it_has_read), it(a_channel_can_be_closed_from_its_event),
	it(what_is_sent_in_a_turn_leaves_at_its_end), it(a_slow_reader_gets_every_byte_in_order),
	it(sending_to_one_that_is_gone_does_no_harm))
