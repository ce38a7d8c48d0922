/* SPDX-License-Identifier: Apache-2.0 */
/* ls, show, rollback, rm: functions that are there. */
#include "commands.h"

const char cmd_ls_help[] = "usage: mayfly ls [--names] [--json]\n\n"
			   "Lists the functions of the organisation with their state.\n\n"
			   "      --names   names only, one a line\n";

const char cmd_show_help[] =
	"usage: mayfly show [--version N] FUNCTION\n\n"
	"Everything about a function: state, versions, limits, what it answers at; with --version\n"
	"one version, and why it failed if it did.\n";

const char cmd_rollback_help[] =
	"usage: mayfly rollback FUNCTION [VERSION]\n\n"
	"Serves an earlier ready version again (without VERSION the one before the active one).\n"
	"Calls in flight finish where they began. `mayfly show FUNCTION` lists the versions.\n";

const char cmd_rm_help[] =
	"usage: mayfly rm FUNCTION…\n\n"
	"Deletes functions with all their versions. Their routes answer 404 at once; calls in\n"
	"flight finish.\n";

/* Flags of a command that has none of its own. */
static int
take_common(struct cli *cli, int argc, char **argv, struct err *err)
{
	static const struct option options[] = {CLI_OPTIONS, {0}};
	int option = cli_option(cli, argc, argv, "h", options, err);

	return option == CLI_END ? cli_context_fill(cli, err) : option;
}

static void
print_list(const json_t *functions, bool is_names_only)
{
	static const char *const titles[] = {
		"NAME", "STATE", "VERSION", "RUNTIME", "ROUTE", "UPDATED", NULL};
	struct cli_table *table = cli_table_new(titles);
	const json_t *function;
	size_t i;

	json_array_foreach (functions, i, function) {
		const char *cells[] = {cli_text(function, "name"), cli_text(function, "state"),
			cli_text(function, "active_version"), cli_text(function, "runtime"),
			cli_text(function, "route"), cli_ago(cli_text(function, "updated_at"))};

		if (is_names_only)
			printf("%s\n", cells[0]);
		else
			cli_table_add(table, cells);
	}
	if (is_names_only)
		cli_table_free(table);
	else
		cli_table_print(table);
}

int
cmd_ls(struct cli *cli, int argc, char **argv, struct err *err)
{
	static const struct option options[] = {CLI_OPTIONS, {"names", no_argument, NULL, 1}, {0}};
	OWN(json) json_t *answer = NULL;
	bool is_names_only = false;
	int option;

	while ((option = cli_option(cli, argc, argv, "h", options, err)) == 1)
		is_names_only = true;
	if (option != CLI_END)
		return option == CLI_HELP ? 0 : option;
	int rc = cli_operands(argc, argv, 0, "no operand", err);

	if (rc == 0)
		rc = cli_context_fill(cli, err);
	if (rc < 0)
		return rc;
	OWN(mem) char *path = cli_path("/v1/orgs/%s/functions", cli->org);

	rc = cli_ask(cli, "GET", path, NULL, &answer, err);
	if (rc < 0)
		return rc;
	const json_t *functions = json_object_get(answer, "functions");

	if (cli->is_json)
		cli_print_json(functions);
	else if (json_array_size(functions) || is_names_only)
		print_list(functions, is_names_only);
	else
		printf("no functions in %s yet: mayfly init hello && mayfly deploy hello\n",
			cli->org);
	return 0;
}

/* ---- show ---- */

static void
print_members(const char *title, const json_t *object)
{
	const char *key;
	json_t *value;

	if (!json_object_size(object))
		return;
	printf("%s\n", title);
	json_object_foreach ((json_t *)object, key, value)
		printf("  %-16s %s\n", key, cli_text(object, key));
}

/* What became of instances after their calls. */
static void
print_renewals(const json_t *renewals)
{
	json_t *discarded = json_object_get(renewals, "discarded"), *value;
	const char *cause;

	printf("renewals\n  %-16s %s\n", "renewed", cli_text(renewals, "renewed"));
	json_object_foreach (discarded, cause, value)
		printf("  %-16s %s (%s)\n", "discarded", cli_text(discarded, cause), cause);
	if (*cli_text(renewals, "last_spoilt"))
		printf("  %-16s %s\n", "last spoilt", cli_text(renewals, "last_spoilt"));
}

static void
print_network(const json_t *network)
{
	const json_t *allow = json_object_get(network, "allow"), *entry;
	size_t i;

	printf("network\n  %-16s %s\n", "mode", cli_text(network, "mode"));
	json_array_foreach (allow, i, entry)
		printf("  %-16s %s\n", "allow", json_string_value(entry));
}

static void
print_scalars(const json_t *object)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)object, key, value) {
		const char *text = cli_text(object, key);

		if (*text && !strchr(text, '\n'))
			printf("%-18s %s\n", key, text);
	}
}

static void
print_versions(const json_t *versions)
{
	static const char *const titles[] = {
		"VERSION", "STATE", "RUNTIME", "CREATED", "REASON", NULL};
	struct cli_table *table = cli_table_new(titles);
	const json_t *version;
	size_t i;

	json_array_foreach (versions, i, version) {
		const char *cells[] = {cli_text(version, "number"), cli_text(version, "state"),
			cli_text(version, "runtime"), cli_ago(cli_text(version, "created_at")),
			cli_text(version, "reason")};

		cli_table_add(table, cells);
	}
	printf("\n");
	cli_table_print(table);
}

static int
show_version(struct cli *cli, const char *name, const char *number, struct err *err)
{
	OWN(json) json_t *version = NULL;
	OWN(mem)
	char *path = cli_path("/v1/orgs/%s/functions/%s/versions/%s", cli->org, name, number);
	int rc = cli_ask(cli, "GET", path, NULL, &version, err);

	if (rc < 0)
		return rc;
	if (cli->is_json) {
		cli_print_json(version);
		return 0;
	}
	print_scalars(version);
	print_members("limits", json_object_get(version, "limits"));
	print_network(json_object_get(version, "network"));
	if (*cli_text(version, "build_log"))
		printf("build log\n%s\n", cli_text(version, "build_log"));
	return 0;
}

static int
show_function(struct cli *cli, const char *name, struct err *err)
{
	OWN(json) json_t *function = NULL, *versions = NULL;
	OWN(mem) char *path = cli_path("/v1/orgs/%s/functions/%s", cli->org, name);
	OWN(mem)
	char *versions_path = cli_path("/v1/orgs/%s/functions/%s/versions", cli->org, name);
	int rc = cli_ask(cli, "GET", path, NULL, &function, err);

	if (rc == 0)
		rc = cli_ask(cli, "GET", versions_path, NULL, &versions, err);
	if (rc < 0)
		return rc;
	if (cli->is_json) {
		json_object_set(function, "versions", json_object_get(versions, "versions"));
		cli_print_json(function);
		return 0;
	}
	OWN(mem) char *url = mem_printf("%s%s", cli->url, cli_text(function, "url"));

	json_object_set_new(function, "url", json_string(url));
	print_scalars(function);
	print_members("instances", json_object_get(function, "instances"));
	print_members("start_failure", json_object_get(function, "start_failure"));
	print_members("limits", json_object_get(function, "limits"));
	print_network(json_object_get(function, "network"));
	print_renewals(json_object_get(function, "renewals"));
	print_versions(json_object_get(versions, "versions"));
	return 0;
}

int
cmd_show(struct cli *cli, int argc, char **argv, struct err *err)
{
	static const struct option options[] = {
		CLI_OPTIONS, {"version", required_argument, NULL, 1}, {0}};
	const char *number = NULL;
	int option;

	while ((option = cli_option(cli, argc, argv, "h", options, err)) == 1)
		number = optarg;
	if (option != CLI_END)
		return option == CLI_HELP ? 0 : option;
	int rc = cli_operands(argc, argv, 1, "the name of a function", err);

	if (rc == 0)
		rc = cli_context_fill(cli, err);
	if (rc < 0)
		return rc;
	return number ? show_version(cli, argv[optind], number, err)
		      : show_function(cli, argv[optind], err);
}

/* ---- rollback, rm ---- */

int
cmd_rollback(struct cli *cli, int argc, char **argv, struct err *err)
{
	OWN(json) json_t *body = json_object();
	OWN(json) json_t *function = NULL;
	uint64_t number;
	int rc = take_common(cli, argc, argv, err);

	if (rc == 0 && argc - optind == 2 && !str_to_u64(str_of(argv[optind + 1]), &number))
		rc = err_field(err, ERR_INVALID, "version", "'%s' is no number", argv[optind + 1]);
	else if (rc == 0 && argc - optind == 2)
		json_object_set_new(body, "version", json_integer((json_int_t)number));
	else if (rc == 0)
		rc = cli_operands(argc, argv, 1, "the name of a function", err);
	if (rc < 0)
		return rc == CLI_HELP ? 0 : rc;
	OWN(mem) char *path = cli_path("/v1/orgs/%s/functions/%s/rollback", cli->org, argv[optind]);

	rc = cli_ask(cli, "POST", path, body, &function, err);
	if (rc == 0 && cli->is_json)
		cli_print_json(function);
	else if (rc == 0)
		printf("%s serves version %s\n", argv[optind],
			cli_text(function, "active_version"));
	return rc;
}

int
cmd_rm(struct cli *cli, int argc, char **argv, struct err *err)
{
	int rc = take_common(cli, argc, argv, err);

	if (rc == 0 && optind == argc)
		rc = cli_operands(argc, argv, 1, "the name of a function", err);
	for (int i = optind; rc == 0 && i < argc; i++) {
		OWN(mem) char *path = cli_path("/v1/orgs/%s/functions/%s", cli->org, argv[i]);

		rc = cli_ask(cli, "DELETE", path, NULL, NULL, err);
		if (rc == 0 && !cli->is_json)
			printf("deleted %s\n", argv[i]);
	}
	if (rc == 0 && cli->is_json) {
		OWN(json) json_t *deleted = json_array();

		for (int i = optind; i < argc; i++)
			json_array_append_new(deleted, json_string(argv[i]));
		cli_print_json(deleted);
	}
	return rc == CLI_HELP ? 0 : rc;
}
