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
	struct cli *cli;
	struct buf line;  /* owned: what is gathered of a line of the stream */
	struct buf event; /* owned: name of the event at hand */
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

static void
print_lines(const struct cli *cli, const json_t *lines)
{
	const json_t *line;
	size_t i;

	json_array_foreach (lines, i, line)
		print_line(cli, line);
}

static void
take_stream_line(struct logs *logs, struct str line)
{
	if (str_starts(line, STR("event:"))) {
		buf_clear(&logs->event);
		buf_add_str(&logs->event, str_trim(str_n(line.at + 6, line.len - 6)));
	} else if (str_starts(line, STR("data:")) && str_eq(buf_str(&logs->event), STR("line"))) {
		OWN(json) json_t *document = json_loadb(line.at + 5, line.len - 5, 0, NULL);

		if (document)
			print_line(logs->cli, document);
	}
}

static bool
on_bytes(struct str bytes, void *arg)
{
	struct logs *logs = arg;

	buf_add_str(&logs->line, bytes);
	struct str rest = buf_str(&logs->line);

	for (const char *end; (end = memchr(rest.at, '\n', rest.len));) {
		struct str line = str_cut(&rest, '\n');

		take_stream_line(logs, line);
	}
	buf_eat(&logs->line, logs->line.len - rest.len);
	return !ferror(stdout);
}

static int
follow(struct cli *cli, const char *function, struct err *err)
{
	struct logs logs = {.cli = cli, .line = BUF_INIT, .event = BUF_INIT};
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
	return rc;
}

static int
print_past(struct cli *cli, const char *path, struct err *err)
{
	OWN(json) json_t *answer = NULL;
	int rc = cli_ask(cli, "GET", path, NULL, &answer, err);

	if (rc == 0)
		print_lines(cli, json_object_get(answer, "lines"));
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

	rc = print_past(cli, path, err);
	return rc == 0 && is_following && !call ? follow(cli, argv[optind], err) : rc;
}
