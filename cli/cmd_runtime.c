/* SPDX-License-Identifier: Apache-2.0 */
/* runtimes, version: what is there. */
#include "commands.h"

const char cmd_runtimes_help[] =
	"usage: mayfly runtimes [--json]\n\n"
	"Lists the languages that the daemon found on its machine, the names that mean them, and\n"
	"how each call of isolation `call` is kept from the next (--json says what stands in the\n"
	"way of a better one).\n";

const char cmd_version_help[] = "usage: mayfly version [--json]\n\n"
				"The version of this program, and of the daemon if one answers.\n";

static int
take_none(struct cli *cli, int argc, char **argv, struct err *err)
{
	static const struct option options[] = {CLI_OPTIONS, {0}};
	int option = cli_option(cli, argc, argv, "h", options, err);
	int rc = option == CLI_END ? cli_operands(argc, argv, 0, "no operand", err) : option;

	return rc == 0 ? cli_context_fill(cli, err) : rc;
}

/* The first that this machine has. */
static const char *
best_mechanism(const json_t *runtime)
{
	const json_t *mechanisms = json_object_get(runtime, "mechanisms"), *mechanism;
	size_t i;

	json_array_foreach (mechanisms, i, mechanism)
		if (json_is_true(json_object_get(mechanism, "available")))
			return cli_text(mechanism, "name");
	return "";
}

int
cmd_runtimes(struct cli *cli, int argc, char **argv, struct err *err)
{
	static const char *const titles[] = {
		"RUNTIME", "VERSION", "ALIASES", "HANDLER", "ISOLATION", "PROGRAM", NULL};
	OWN(json) json_t *answer = NULL;
	int rc = take_none(cli, argc, argv, err);

	if (rc == 0)
		rc = cli_ask(cli, "GET", "/v1/runtimes", NULL, &answer, err);
	if (rc < 0)
		return rc == CLI_HELP ? 0 : rc;
	const json_t *runtimes = json_object_get(answer, "runtimes"), *runtime;
	size_t i;

	if (cli->is_json) {
		cli_print_json(runtimes);
		return 0;
	}
	struct cli_table *table = cli_table_new(titles);

	json_array_foreach (runtimes, i, runtime) {
		const json_t *alias = json_array_get(json_object_get(runtime, "aliases"), 0);
		const char *cells[] = {cli_text(runtime, "name"), cli_text(runtime, "version"),
			alias ? json_string_value(alias) : "", cli_text(runtime, "default_handler"),
			best_mechanism(runtime), cli_text(runtime, "path")};

		cli_table_add(table, cells);
	}
	cli_table_print(table);
	return 0;
}

int
cmd_version(struct cli *cli, int argc, char **argv, struct err *err)
{
	OWN(json) json_t *answer = NULL, *document = NULL;
	struct err unreachable = {0};
	int rc = take_none(cli, argc, argv, err);

	if (rc < 0)
		return rc == CLI_HELP ? 0 : rc;
	rc = cli_ask(cli, "GET", "/v1/version", NULL, &answer, &unreachable);
	const char *daemon = rc == 0 ? cli_text(answer, "version") : NULL;

	if (cli->is_json) {
		document = json_pack("{s:s,s:s?,s:s}", "version", MAYFLY_VERSION, "daemon", daemon,
			"url", cli->url);
		cli_print_json(document);
	} else if (daemon) {
		printf("mayfly %s, daemon %s at %s\n", MAYFLY_VERSION, daemon, cli->url);
	} else {
		printf("mayfly %s, no daemon at %s (%s)\n", MAYFLY_VERSION, cli->url,
			unreachable.text);
	}
	return 0;
}
