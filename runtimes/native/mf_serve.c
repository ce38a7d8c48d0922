/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "mayfly.h"
#include "mf_inside.h"

#define TEXT_TYPE "text/plain; charset=utf-8"

struct mf_answer {
	struct mf_channel *channel; /* borrowed */
	uint64_t call;
	int status;
	bool is_direct;
	bool has_type;
	bool has_head; /* it was sent */
	bool is_gone;  /* the daemon is */
	struct mf_bytes headers, body;
	char *error_type, *error; /* owned; what mf_error() was told */
};

static void __attribute__((format(printf, 2, 0)))
add_formatted(struct mf_bytes *bytes, const char *format, va_list args)
{
	char *text = NULL;
	int n = vasprintf(&text, format, args);

	if (n > 0)
		mf_bytes_add(bytes, text, (size_t)n);
	if (n >= 0)
		free(text);
}

void
mf_status(struct mf_answer *answer, int status)
{
	answer->status = status;
}

bool
mf_set_header(struct mf_answer *answer, const char *name, const char *value)
{
	if (!mf_head_add(&answer->headers, name, value))
		return false;
	answer->has_type |= strcasecmp(name, "content-type") == 0;
	return true;
}

void
mf_write(struct mf_answer *answer, const void *bytes, size_t size)
{
	mf_bytes_add(&answer->body, bytes, size);
}

void
mf_print(struct mf_answer *answer, const char *text)
{
	mf_bytes_print(&answer->body, text);
}

void
mf_printf(struct mf_answer *answer, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add_formatted(&answer->body, format, args);
	va_end(args);
}

void
mf_print_json(struct mf_answer *answer, const char *text)
{
	mf_bytes_print_json(&answer->body, text, strlen(text));
}

int
mf_error(struct mf_answer *answer, const char *type, const char *format, ...)
{
	struct mf_bytes text = {0};
	va_list args;

	va_start(args, format);
	add_formatted(&text, format, args);
	va_end(args);
	free(answer->error_type);
	free(answer->error);
	answer->error_type = strdup(type);
	answer->error = text.at ? text.at : strdup("");
	return 1;
}

static void
make_head(struct mf_answer *answer, struct mf_bytes *head)
{
	char status[16];
	bool is_valid = answer->status >= 200 && answer->status <= 599;

	snprintf(status, sizeof(status), "%03d\n", is_valid ? answer->status : 500);
	mf_bytes_print(head, status);
	if (answer->headers.size)
		mf_bytes_add(head, answer->headers.at, answer->headers.size);
	if (answer->is_direct)
		mf_bytes_print(head, "content-type:application/json\n");
	else if (!answer->has_type && answer->body.size)
		mf_bytes_print(head, mf_is_utf8(answer->body.at, answer->body.size)
					     ? "content-type:" TEXT_TYPE "\n"
					     : "content-type:application/octet-stream\n");
}

bool
mf_flush(struct mf_answer *answer)
{
	if (answer->is_direct || answer->is_gone)
		return !answer->is_gone;
	if (!answer->has_head) {
		struct mf_bytes head = {0};

		make_head(answer, &head);
		answer->has_head = true;
		answer->is_gone = !mf_channel_send(
			answer->channel, FRAME_ANSWER_HEAD, 0, answer->call, head.at, head.size);
		mf_bytes_done(&head);
	}
	if (answer->body.size && !answer->is_gone)
		answer->is_gone = !mf_channel_send(answer->channel, FRAME_ANSWER_BODY, 0,
			answer->call, answer->body.at, answer->body.size);
	answer->body.size = 0;
	return !answer->is_gone;
}

/* What a direct call gets must be JSON: a text that is none becomes a string. */
static void
make_json(struct mf_answer *answer)
{
	struct mf_bytes text = {0};

	if (mf_json_parse(answer->body.at, answer->body.size).at)
		return;
	if (answer->body.size)
		mf_bytes_print_json(&text, answer->body.at, answer->body.size);
	else
		mf_bytes_print(&text, "null");
	mf_bytes_done(&answer->body);
	answer->body = text;
}

static bool
send_answer(struct mf_answer *answer)
{
	struct mf_bytes head = {0};
	bool is_sent;

	if (answer->has_head)
		return mf_flush(answer) &&
		       mf_channel_send(answer->channel, FRAME_ANSWER_END, 0, answer->call, NULL, 0);
	if (answer->is_direct) {
		answer->status = 200;
		make_json(answer);
		mf_bytes_done(&answer->headers);
	}
	make_head(answer, &head);
	is_sent = mf_channel_answer(
		answer->channel, answer->call, &head, answer->body.at, answer->body.size);
	mf_bytes_done(&head);
	return is_sent;
}

static bool
send_error(struct mf_answer *answer, int given)
{
	char text[48];

	snprintf(text, sizeof(text), "the handler gave %d", given);
	return mf_channel_error(answer->channel, FRAME_ERROR, answer->call,
		answer->error_type ? answer->error_type : "Error",
		answer->error ? answer->error : text, "");
}

/* OpenSSL's, where the program is linked with it. */
extern void RAND_add(const void *bytes, int size, double entropy) __attribute__((weak));

/* The memory of the program is that of before the call that came last: what it draws must not be
 * what that call drew. rand() and random() share their state. */
static void
renew_random(const uint8_t bytes[static 32])
{
	unsigned seed;
	unsigned short seed_of_48_bits[3];

	memcpy(&seed, bytes, sizeof(seed));
	memcpy(seed_of_48_bits, bytes + sizeof(seed), sizeof(seed_of_48_bits));
	srandom(seed);
	seed48(seed_of_48_bits);
	if (RAND_add)
		RAND_add(bytes, 32, 32);
}

static bool
serve_one(
	struct mf_channel *channel, const struct mf_frame *frame, mf_handler_fn *handler, void *arg)
{
	struct mf_answer answer = {.channel = channel, .call = frame->head.call, .status = 200};
	struct mf_request request;
	struct mf_call call;
	bool is_sent;
	int given;

	if (!mf_call_parse(frame, &call))
		return false;
	renew_random(call.start.random);
	mf_request_init(&request, &call);
	answer.is_direct = request.is_direct;
	given = handler(&request, &answer, arg);
	fflush(stdout);
	fflush(stderr);
	is_sent = given == 0 ? send_answer(&answer) : send_error(&answer, given);
	mf_request_done(&request);
	mf_bytes_done(&answer.headers);
	mf_bytes_done(&answer.body);
	free(answer.error_type);
	free(answer.error);
	return is_sent;
}

static bool
is_started_by_platform(void)
{
	int type;
	socklen_t size = sizeof(type);

	return getenv("MAYFLY_FUNCTION") &&
	       getsockopt(FRAME_FD, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
}

int
mf_serve(mf_handler_fn *handler, void *arg)
{
	struct mf_channel channel = {.fd = FRAME_FD};
	struct mf_frame frame;

	if (!is_started_by_platform()) {
		fprintf(stderr,
			"this program is a function: `mayfly deploy` it, then `mayfly call`\n");
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	if (!mf_channel_send(&channel, FRAME_READY, 0, 0, NULL, 0))
		return 0;
	while (mf_channel_read(&channel, &frame)) {
		if (frame.head.kind == FRAME_CALL && !serve_one(&channel, &frame, handler, arg))
			break;
	}
	mf_bytes_done(&channel.in);
	return 0;
}

void
mf_fail(const char *format, ...)
{
	struct mf_channel channel = {.fd = FRAME_FD};
	struct mf_bytes text = {0};
	va_list args;

	va_start(args, format);
	add_formatted(&text, format, args);
	va_end(args);
	fflush(stdout);
	if (is_started_by_platform())
		mf_channel_error(&channel, FRAME_FAIL, 0, "InitError", text.at ? text.at : "", "");
	else
		fprintf(stderr, "%s\n", text.at ? text.at : "");
	exit(1);
}
