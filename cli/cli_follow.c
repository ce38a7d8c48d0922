/* SPDX-License-Identifier: Apache-2.0 */
/* Server-sent events (HTML Living Standard, 9.2), followed over lost connections. */
#include <time.h>
#include <unistd.h>

#include "base/id.h"
#include "cli.h"

#define AGAIN_MIN_MS 500
#define AGAIN_MAX_MS 30000

struct following {
	const struct cli_follow *follow; /* borrowed */
	struct cli *cli;                 /* borrowed */
	struct buf line;                 /* owned: what is gathered of a line */
	struct buf name, data;           /* owned: of the event at hand */
	struct buf id;                   /* owned: of the last event: where to go on */
	bool has_begun, is_again;        /* since this connection; since the first */
	bool is_over;                    /* stdout is closed, or on_begin failed */
	int code;                        /* of on_begin */
	struct err *err;                 /* borrowed */
};

static void
set(struct buf *buf, struct str text)
{
	buf_clear(buf);
	buf_add_str(buf, text);
}

static void
take_event(struct following *following)
{
	if (following->data.len)
		following->follow->on_event(buf_str(&following->name), buf_str(&following->data),
			following->follow->arg);
	buf_clear(&following->name);
	buf_clear(&following->data);
}

static void
take_line(struct following *following, struct str line)
{
	struct str name = str_cut(&line, ':');

	if (line.len && line.at[0] == ' ')
		line = str_n(line.at + 1, line.len - 1);
	if (!name.len && !line.len)
		take_event(following);
	else if (str_eq(name, STR("event")))
		set(&following->name, line);
	else if (str_eq(name, STR("data")))
		set(&following->data, line);
	else if (str_eq(name, STR("id")) && id_is_ulid(line))
		set(&following->id, line);
}

/* The stream says something as soon as it follows. */
static bool
begin(struct following *following)
{
	const struct cli_follow *follow = following->follow;

	if (following->is_again)
		fprintf(stderr, "mayfly: connected again\n");
	following->has_begun = true;
	if (follow->on_begin)
		following->code =
			follow->on_begin(following->is_again, follow->arg, following->err);
	following->is_again = true;
	return following->code == 0;
}

static bool
on_bytes(struct str bytes, void *arg)
{
	struct following *following = arg;
	struct str rest;

	if (!following->has_begun && !begin(following))
		return false;
	buf_add_str(&following->line, bytes);
	rest = buf_str(&following->line);
	while (rest.len && memchr(rest.at, '\n', rest.len))
		take_line(following, str_cut(&rest, '\n'));
	buf_eat(&following->line, following->line.len - rest.len);
	following->is_over = ferror(stdout);
	return !following->is_over;
}

/* One connection: an error, or 0 when it ended. */
static int
follow_once(struct following *following)
{
	OWN(mem)
	char *last = mem_printf("Last-Event-ID: %.*s", (int)following->id.len,
		following->id.len ? following->id.at : "");
	const char *const headers[] = {following->id.len ? last : NULL, NULL};
	OWN(buf) struct buf refusal = BUF_INIT;
	struct http_client *client = NULL;
	int status = 0, rc = cli_client(following->cli, &client, following->err);

	following->has_begun = false;
	following->code = 0;
	buf_clear(&following->line);
	buf_clear(&following->name);
	buf_clear(&following->data);
	if (rc == 0)
		rc = http_client_stream(client, following->follow->path, headers, &status, on_bytes,
			following, &refusal, following->err);
	if (following->code < 0)
		return following->code;
	if (rc == 0 && status >= 400)
		return cli_error(status, buf_str(&refusal), following->err);
	return rc;
}

/* What may be different in a while: the daemon is away, or starts, or has too much to do. */
static bool
is_passing(int code)
{
	return code == 0 || code == ERR_UNAVAILABLE || code == ERR_TIMEOUT || code == ERR_RATE ||
	       code == ERR_SYSTEM || code == ERR_INTERNAL || code == ERR_REQUEST_TIMEOUT;
}

/* Between the half and the whole, by chance: many who follow do not come back at once. */
static void
wait_ms(unsigned ms)
{
	struct timespec time;
	uint32_t random;

	id_random(&random, sizeof(random));
	ms = ms / 2 + random % (ms / 2 + 1);
	time = (struct timespec){ms / 1000, ms % 1000 * 1000000l};
	nanosleep(&time, NULL);
}

static void
following_done(struct following *following)
{
	buf_done(&following->line);
	buf_done(&following->name);
	buf_done(&following->data);
	buf_done(&following->id);
}

int
cli_follow(struct cli *cli, const struct cli_follow *follow, struct err *err)
{
	struct following following = {.follow = follow, .cli = cli, .err = err};
	unsigned again_ms = AGAIN_MIN_MS;
	int rc;

	for (;;) {
		rc = follow_once(&following);
		if (following.is_over || !following.is_again || !is_passing(rc))
			break;
		if (following.has_begun) {
			again_ms = AGAIN_MIN_MS;
			fprintf(stderr, "mayfly: the connection was lost%s%s; trying again\n",
				rc < 0 ? ": " : "", rc < 0 ? err->text : "");
		}
		wait_ms(again_ms);
		again_ms = again_ms < AGAIN_MAX_MS / 2 ? 2 * again_ms : AGAIN_MAX_MS;
	}
	following_done(&following);
	return rc;
}
