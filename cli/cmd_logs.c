/* SPDX-License-Identifier: Apache-2.0 */
/* logs: what functions printed, past and live (server-sent events). */
#include "commands.h"

const char cmd_logs_help[] =
	"usage: mayfly logs [-f] [-n N] FUNCTION\n"
	"       mayfly logs --call ID\n\n"
	"Prints what a function wrote to stdout and stderr, oldest first, each line with its "
	"call.\n\n"
	"  -f, --follow    go on with new lines as they come, until interrupted\n"
	"  -n N            the last N calls (default 20)\n"
	"      --call ID   of one call only\n"
	"With --json each line is a JSON document.\n";

struct logs {
	struct cli *cli;  /* borrowed */
	const char *past; /* borrowed: path of the lines of finished calls */
	struct buf line;  /* owned: what is gathered of a line of the stream */
	struct buf event; /* owned: name of the event at hand */
	json_t *printed;  /* owned: ids of the calls whose lines were printed, once they were */
	int code;         /* why the stream was left */
	struct err *err;  /* borrowed */
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

/* Notes the calls in `printed`, where it is given. */
static int
print_past(struct cli *cli, const char *path, json_t *printed, struct err *err)
{
	OWN(json) json_t *answer = NULL;
	int rc = cli_ask(cli, "GET", path, NULL, &answer, err);
	const json_t *line;
	size_t i;

	if (rc < 0)
		return rc;
	json_array_foreach (json_object_get(answer, "lines"), i, line) {
		print_line(cli, line);
		if (printed)
			json_object_set_new(printed, cli_text(line, "call_id"), json_true());
	}
	return 0;
}

/* The stream says something as soon as it follows, so nothing can be missed between the past,
 * asked for only then, and what comes live; calls that are in both are printed once. */
static void
start_with_past(struct logs *logs)
{
	struct cli beside = *logs->cli; /* the stream holds the other connection */

	beside.client = NULL;
	logs->printed = json_object();
	logs->code = print_past(&beside, logs->past, logs->printed, logs->err);
	http_client_free(beside.client);
}

static void
take_stream_line(struct logs *logs, struct str line)
{
	if (str_starts(line, STR("event:"))) {
		buf_clear(&logs->event);
		buf_add_str(&logs->event, str_trim(str_n(line.at + 6, line.len - 6)));
	} else if (str_starts(line, STR("data:")) && str_eq(buf_str(&logs->event), STR("line"))) {
		OWN(json) json_t *document = json_loadb(line.at + 5, line.len - 5, 0, NULL);

		if (document && !json_object_get(logs->printed, cli_text(document, "call_id")))
			print_line(logs->cli, document);
	}
}

static bool
on_bytes(struct str bytes, void *arg)
{
	struct logs *logs = arg;

	if (!logs->printed)
		start_with_past(logs);
	buf_add_str(&logs->line, bytes);
	struct str rest = buf_str(&logs->line);

	for (const char *end; (end = memchr(rest.at, '\n', rest.len));) {
		struct str line = str_cut(&rest, '\n');

		take_stream_line(logs, line);
	}
	buf_eat(&logs->line, logs->line.len - rest.len);
	return logs->code == 0 && !ferror(stdout);
}

static int
follow(struct cli *cli, const char *function, const char *past, struct err *err)
{
	struct logs logs = {
		.cli = cli, .past = past, .line = BUF_INIT, .event = BUF_INIT, .err = err};
	OWN(buf) struct buf error_body = BUF_INIT;
	OWN(mem)
	char *path = cli_path("/v1/orgs/%s/functions/%s/logs?follow=true", cli->org, function);
	struct http_client *client = NULL;
	int status = 0, rc = cli_client(cli, &client, err);

	if (rc == 0)
		rc = http_client_stream(client, path, &status, on_bytes, &logs, &error_body, err);
	if (rc == 0 && status >= 400)
		rc = cli_error(status, buf_str(&error_body), err);
	buf_done(&logs.line);
	buf_done(&logs.event);
	json_decref(logs.printed);
	return logs.code < 0 ? logs.code : rc;
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

	return is_following && !call ? follow(cli, argv[optind], path, err)
				     : print_past(cli, path, NULL, err);
}
