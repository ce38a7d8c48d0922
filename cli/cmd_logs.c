/* SPDX-License-Identifier: Apache-2.0 */
/* logs: what functions printed, past and live (server-sent events). */
#include "base/clock.h"
#include "base/id.h"
#include "commands.h"

const char cmd_logs_help[] =
	"usage: mayfly logs [-f] [-n N] FUNCTION\n"
	"       mayfly logs --call ID\n\n"
	"Prints what a function wrote to stdout and stderr, oldest first, each line with its "
	"call.\n\n"
	"  -f, --follow    go on with new lines as they come, until interrupted; a connection "
	"that\n"
	"                  is lost is made again\n"
	"  -n N            the last N calls (default 20)\n"
	"      --call ID   of one call only\n"
	"With --json each line is a JSON document.\n";

#define CALLS_KNOWN 4000 /* of whose lines it is known how many were printed */
#define CALLS_AGAIN 1000 /* of which is asked what they printed while nothing was heard */

struct logs {
	struct cli *cli;      /* borrowed */
	const char *function; /* borrowed */
	const char *past;     /* borrowed: path of the lines of finished calls */
	json_t *printed;  /* owned: id of a call → how many lines were printed, as they came */
	json_t *finished; /* owned: ids of the calls all of whose lines were printed */
	uint64_t began_us;
	char first[ID_ULID_SIZE]; /* the oldest call of the past that was asked for; "" */
};

static void
print_line(const struct cli *cli, const json_t *line)
{
	if (cli->is_json) {
		json_dumpf(line, stdout, JSON_COMPACT);
		putchar('\n');
	} else {
		printf("%s %s %s %s\n", cli_text(line, "time"), cli_text(line, "call_id"),
			cli_text(line, "stream"), cli_text(line, "text"));
	}
	fflush(stdout);
}

static int
print_past(struct cli *cli, const char *path, struct err *err)
{
	OWN(json) json_t *answer = NULL;
	int rc = cli_ask(cli, "GET", path, NULL, &answer, err);
	const json_t *line;
	size_t i;

	if (rc < 0)
		return rc;
	json_array_foreach (json_object_get(answer, "lines"), i, line)
		print_line(cli, line);
	return 0;
}

/* ---- following ---- */

/* The oldest half goes: objects keep the order in which their members came. */
static void
forget_old(json_t *calls)
{
	size_t n = json_object_size(calls) / 2;
	const char *id;
	json_t *value;
	void *next;

	if (json_object_size(calls) < CALLS_KNOWN)
		return;
	json_object_foreach_safe(calls, next, id, value)
	{
		if (!n--)
			break;
		json_object_del(calls, id);
	}
}

static json_int_t
n_printed(const struct logs *logs, const char *id)
{
	return json_integer_value(json_object_get(logs->printed, id));
}

static void
note_printed(struct logs *logs, const char *id)
{
	forget_old(logs->printed);
	json_object_set_new(logs->printed, id, json_integer(n_printed(logs, id) + 1));
}

/* What a call printed live before the connection was lost is not printed again. */
static void
print_finished(struct logs *logs, const json_t *lines)
{
	OWN(json) json_t *seen = json_object();
	const json_t *line;
	size_t i;

	json_array_foreach (lines, i, line) {
		const char *id = cli_text(line, "call_id");
		json_int_t n = json_integer_value(json_object_get(seen, id));

		json_object_set_new(seen, id, json_integer(n + 1));
		forget_old(logs->finished);
		json_object_set_new(logs->finished, id, json_true());
		if (!logs->first[0])
			snprintf(logs->first, sizeof(logs->first), "%s", id);
		if (n < n_printed(logs, id) || strcmp(id, logs->first) < 0)
			continue;
		print_line(logs->cli, line);
		note_printed(logs, id);
	}
}

/* Nothing can be missed between the past, asked for only now, and what comes live; calls that are
 * in both are printed once. */
static int
on_begin(bool is_again, void *arg, struct err *err)
{
	struct logs *logs = arg;
	struct cli beside = *logs->cli; /* the stream holds the other connection */
	OWN(mem)
	char *since =
		mem_printf("%us", (unsigned)((clock_mono_us() - logs->began_us) / 1000000 + 1));
	OWN(mem)
	char *missed = cli_path(
		"/v1/orgs/%s/functions/%s/logs?since=%s", logs->cli->org, logs->function, since);
	OWN(mem) char *missed_n = mem_printf("%s&n=%d", missed, CALLS_AGAIN);
	OWN(json) json_t *answer = NULL;
	int rc;

	beside.client = NULL;
	rc = cli_ask(&beside, "GET", is_again ? missed_n : logs->past, NULL, &answer, err);
	if (rc == 0)
		print_finished(logs, json_object_get(answer, "lines"));
	http_client_free(beside.client);
	return rc;
}

static void
on_event(struct str name, struct str data, void *arg)
{
	struct logs *logs = arg;
	OWN(json) json_t *line = NULL;

	if (!str_eq(name, STR("line")))
		return;
	line = json_loadb(data.at, data.len, 0, NULL);
	if (!line || json_object_get(logs->finished, cli_text(line, "call_id")))
		return;
	print_line(logs->cli, line);
	note_printed(logs, cli_text(line, "call_id"));
}

static int
logs_follow(struct cli *cli, const char *function, const char *past, struct err *err)
{
	struct logs logs = {.cli = cli,
		.function = function,
		.past = past,
		.printed = json_object(),
		.finished = json_object(),
		.began_us = clock_mono_us()};
	OWN(mem)
	char *path = cli_path("/v1/orgs/%s/functions/%s/logs?follow=true", cli->org, function);
	const struct cli_follow follow = {
		.path = path, .on_begin = on_begin, .on_event = on_event, .arg = &logs};
	int rc = cli_follow(cli, &follow, err);

	json_decref(logs.printed);
	json_decref(logs.finished);
	return rc;
}

int
cmd_logs(struct cli *cli, int argc, char **argv, struct err *err)
{
	static const struct option options[] = {CLI_OPTIONS, {"follow", no_argument, NULL, 'f'},
		{"call", required_argument, NULL, 1}, {0}};
	const char *n = "20", *call = NULL;
	bool is_following = false;
	int option, rc;

	while ((option = cli_option(cli, argc, argv, "hfn:", options, err)) >= 0) {
		if (option == 'f')
			is_following = true;
		else if (option == 'n')
			n = optarg;
		else
			call = optarg;
	}
	if (option != CLI_END)
		return option == CLI_HELP ? 0 : option;
	rc = cli_operands(argc, argv, call ? 0 : 1, "the name of a function, or --call ID", err);
	if (rc == 0)
		rc = cli_context_fill(cli, err);
	if (rc < 0)
		return rc;
	OWN(mem)
	char *path =
		call ? cli_path("/v1/orgs/%s/calls/%s/logs", cli->org, call)
		     : cli_path("/v1/orgs/%s/functions/%s/logs?n=%s", cli->org, argv[optind], n);

	return is_following && !call ? logs_follow(cli, argv[optind], path, err)
				     : print_past(cli, path, err);
}
