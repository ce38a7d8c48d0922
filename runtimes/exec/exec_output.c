/* SPDX-License-Identifier: Apache-2.0 */
#include "exec_output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HOLD_SIZE  (64 * 1024)
#define BLOCK_SIZE (32 * 1024) /* most of a header block */
#define MARK       "Status:"

enum output_shape { OUTPUT_UNKNOWN, OUTPUT_PLAIN, OUTPUT_BLOCK };

/* The end of the header block: behind its empty line; NULL while there is none. */
static char *
end_of_block(const struct mf_bytes *held)
{
	char *end = held->at + held->size;

	for (char *at = held->at; (at = memchr(at, '\n', (size_t)(end - at)));) {
		at++;
		if (at < end && *at == '\n')
			return at + 1;
		if (at + 1 < end && at[0] == '\r' && at[1] == '\n')
			return at + 2;
	}
	return NULL;
}

static enum output_shape
shape_of(const struct mf_bytes *held, bool is_whole)
{
	size_t mark = strlen(MARK);
	size_t n = held->size < mark ? held->size : mark;

	if (held->size && strncasecmp(held->at, MARK, n) != 0)
		return OUTPUT_PLAIN;
	if (held->size < mark)
		return is_whole ? OUTPUT_PLAIN : OUTPUT_UNKNOWN;
	return end_of_block(held) || is_whole ? OUTPUT_BLOCK : OUTPUT_UNKNOWN;
}

static void
refuse(struct exec_output *output, const char *why)
{
	output->is_invalid = true;
	snprintf(output->reason, sizeof(output->reason), "%s", why);
}

/* One line "name: value" of the block, terminated. */
static bool
add_line(struct mf_bytes *head, char *line, bool *has_type)
{
	char *colon = strchr(line, ':');

	if (!colon)
		return false;
	*colon = '\0';
	*has_type |= strcasecmp(line, "content-type") == 0;
	return mf_head_add(head, line, colon + 1 + strspn(colon + 1, " \t"));
}

/* Makes the head of the block and takes the block from what is held. */
static void
take_block(struct exec_output *output, struct mf_bytes *head)
{
	char *end = end_of_block(&output->held);
	char *stop = end ? end : output->held.at + output->held.size;
	char *line = output->held.at + strlen(MARK);
	long status = strtol(line, &line, 10);
	char text[16];
	bool has_type = false;

	if (status < 200 || status > 599) {
		refuse(output, "the number behind Status: is not 200 to 599");
		return;
	}
	snprintf(text, sizeof(text), "%03ld\n", status);
	mf_bytes_print(head, text);
	for (line = memchr(line, '\n', (size_t)(stop - line)); line && ++line < stop;) {
		char *next = memchr(line, '\n', (size_t)(stop - line));
		char *tail = next ? next : stop;

		if (tail > line && tail[-1] == '\r')
			tail--;
		*tail = '\0';
		if (tail > line && !add_line(head, line, &has_type)) {
			refuse(output, "a line of the header block is no header");
			return;
		}
		line = next;
	}
	output->held.size -= (size_t)(stop - output->held.at);
	memmove(output->held.at, stop, output->held.size);
	if (!has_type && output->held.size)
		mf_bytes_print(head, "content-type:text/plain; charset=utf-8\n");
}

/* How many bytes at the end may be the start of a character. */
static bool
is_text(const struct mf_bytes *held)
{
	size_t size = held->size;

	for (int cut = 0; cut < 4 && size; cut++, size--) {
		if (mf_is_utf8(held->at, size))
			return !memchr(held->at, '\0', size);
	}
	return held->size == 0;
}

static void
make_head(struct exec_output *output, struct mf_bytes *head, bool is_whole)
{
	if (shape_of(&output->held, is_whole) == OUTPUT_BLOCK) {
		take_block(output, head);
		return;
	}
	mf_bytes_print(head, "200\n");
	if (output->held.size)
		mf_bytes_print(head, is_text(&output->held)
					     ? "content-type:text/plain; charset=utf-8\n"
					     : "content-type:application/octet-stream\n");
}

void
exec_output_flush(struct exec_output *output)
{
	struct mf_bytes head = {0};

	if (output->is_direct || output->is_invalid || output->is_gone || !output->held.size)
		return;
	if (!output->has_head) {
		if (shape_of(&output->held, false) == OUTPUT_UNKNOWN) {
			if (output->held.size > BLOCK_SIZE)
				refuse(output, "the header block is too long");
			return;
		}
		make_head(output, &head, false);
		output->has_head = true;
		if (!output->is_invalid)
			output->is_gone = !mf_channel_send(output->channel, FRAME_ANSWER_HEAD, 0,
				output->call, head.at, head.size);
		mf_bytes_done(&head);
	}
	if (output->held.size && !output->is_invalid && !output->is_gone)
		output->is_gone = !mf_channel_send(output->channel, FRAME_ANSWER_BODY, 0,
			output->call, output->held.at, output->held.size);
	output->held.size = 0;
}

void
exec_output_add(struct exec_output *output, const char *bytes, size_t size)
{
	mf_bytes_add(&output->held, bytes, size);
	if (output->held.size >= HOLD_SIZE)
		exec_output_flush(output);
}

/* JSON as it is; other text as a JSON string without the line's end; bytes as base64. */
static void
end_direct(struct exec_output *output)
{
	struct mf_bytes head = {0}, text = {0}, *held = &output->held;
	struct mf_json json = mf_json_parse(held->at, held->size);

	mf_bytes_print(&head, "200\ncontent-type:application/json\n");
	if (json.at) {
		mf_bytes_add(&text, json.at, (size_t)(json.end - json.at));
	} else if (!held->size) {
		mf_bytes_print(&text, "null");
	} else if (mf_is_utf8(held->at, held->size)) {
		size_t size = held->at[held->size - 1] == '\n' ? held->size - 1 : held->size;

		mf_bytes_print_json(&text, held->at, size);
	} else {
		mf_bytes_print(&text, "\"");
		mf_bytes_add_base64(&text, held->at, held->size);
		mf_bytes_print(&text, "\"");
	}
	mf_channel_answer(output->channel, output->call, &head, text.at, text.size);
	mf_bytes_done(&head);
	mf_bytes_done(&text);
}

void
exec_output_end(struct exec_output *output)
{
	struct mf_bytes head = {0};

	if (output->is_direct) {
		end_direct(output);
		return;
	}
	if (output->has_head) {
		exec_output_flush(output);
		mf_channel_send(output->channel, FRAME_ANSWER_END, 0, output->call, NULL, 0);
		return;
	}
	make_head(output, &head, true);
	if (!output->is_invalid)
		mf_channel_answer(
			output->channel, output->call, &head, output->held.at, output->held.size);
	mf_bytes_done(&head);
}

void
exec_output_done(struct exec_output *output)
{
	mf_bytes_done(&output->held);
}
