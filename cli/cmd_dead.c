/* SPDX-License-Identifier: Apache-2.0 */
/* dead: durable calls that are dead, seen, tried again, deleted. */
#include "commands.h"

const char cmd_dead_help[] =
	"usage: mayfly dead [ls] [-n N] [FUNCTION]\n"
	"       mayfly dead show ID\n"
	"       mayfly dead redrive [--version N] [--to FUNCTION] ID\n"
	"       mayfly dead redrive --all [--version N] [--to FUNCTION] [FUNCTION]\n"
	"       mayfly dead purge ID\n"
	"       mayfly dead purge --all [FUNCTION]\n\n"
	"Durable calls that are dead: none of their attempts succeeded. Shows a payload with the\n"
	"error and the log of each attempt; tries one or all again, in order, from the first "
	"attempt;\n"
	"deletes one or all.\n\n"
	"  -n N            list at most N (default 20, most 1000)\n"
	"      --version N   try it with this version, not the active one\n"
	"      --to F        with another function\n"
	"      --all         all of the organisation, or of a function\n";

struct dead {
	const char *n, *version, *to; /* borrowed */
	bool is_all;
};

static void
print_list(const json_t *list)
{
	static const char *const titles[] = {
		"ID", "FUNCTION", "ORIGIN", "ATTEMPTS", "CODE", "DIED", "MESSAGE", NULL};
	struct cli_table *table = cli_table_new(titles);
	const json_t *one;
	size_t i;

	json_array_foreach (list, i, one) {
		const char *cells[] = {cli_text(one, "id"), cli_text(one, "function"),
			cli_text(one, "origin"), cli_text(one, "attempt_count"),
			cli_text(one, "code"), cli_ago(cli_text(one, "ended_at")),
			cli_text(one, "message")};

		cli_table_add(table, cells);
	}
	cli_table_print(table);
}

static int
list_dead(struct cli *cli, const struct dead *dead, const char *function, struct err *err)
{
	OWN(json) json_t *answer = NULL;
	OWN(mem)
	char *path = function ? cli_path("/v1/orgs/%s/dead-letters?n=%s&function=%s", cli->org,
					dead->n, function)
			      : cli_path("/v1/orgs/%s/dead-letters?n=%s", cli->org, dead->n);
	int rc = cli_ask(cli, "GET", path, NULL, &answer, err);
	const json_t *list = json_object_get(answer, "deliveries");

	if (rc == 0 && cli->is_json)
		cli_print_json(list);
	else if (rc == 0)
		print_list(list);
	return rc;
}

static void
print_attempts(const json_t *attempts)
{
	const json_t *attempt, *line;
	size_t i, j;

	json_array_foreach (attempts, i, attempt) {
		printf("attempt %s, version %s, call %s: %s %s\n", cli_text(attempt, "number"),
			cli_text(attempt, "version"), cli_text(attempt, "call_id"),
			cli_text(attempt, "code"), cli_text(attempt, "message"));
		json_array_foreach (json_object_get(attempt, "log"), j, line)
			printf("  %s %s\n", cli_text(line, "s"), cli_text(line, "m"));
	}
}

static int
show_dead(struct cli *cli, const char *id, struct err *err)
{
	OWN(mem) char *path = cli_path("/v1/orgs/%s/dead-letters/%s", cli->org, id);
	OWN(json) json_t *one = NULL;
	int rc = cli_ask(cli, "GET", path, NULL, &one, err);

	if (rc < 0)
		return rc;
	if (cli->is_json) {
		cli_print_json(one);
		return 0;
	}
	const json_t *payload = json_object_get(one, "payload");
	const char *text = json_string_value(json_object_get(payload, "body"));

	printf("%s of %s, origin %s, died %s\n%s: %s\n", id, cli_text(one, "function"),
		cli_text(one, "origin"), cli_ago(cli_text(one, "ended_at")), cli_text(one, "code"),
		cli_text(one, "message"));
	print_attempts(json_object_get(one, "attempts"));
	printf("payload: %s\n", text ? text : "not text; --json has it");
	return 0;
}

static int
redrive(struct cli *cli, const struct dead *dead, const char *what, struct err *err)
{
	OWN(json) json_t *body = json_object();
	OWN(json) json_t *answer = NULL;
	uint64_t version = 0;
	OWN(mem)
	char *path =
		!dead->is_all ? cli_path("/v1/orgs/%s/dead-letters/%s/redrive", cli->org, what)
		: what ? cli_path("/v1/orgs/%s/dead-letters/redrive?function=%s", cli->org, what)
		       : cli_path("/v1/orgs/%s/dead-letters/redrive", cli->org);

	if (dead->version && !str_to_u64(str_of(dead->version), &version))
		return err_set(err, ERR_INVALID, "--version takes a number");
	if (dead->version)
		json_object_set_new(body, "version", json_integer((json_int_t)version));
	if (dead->to)
		json_object_set_new(body, "function", json_string(dead->to));
	int rc = cli_ask(cli, "POST", path, body, &answer, err);

	if (rc == 0 && cli->is_json)
		cli_print_json(answer);
	else if (rc == 0 && !dead->is_all)
		printf("%s\n", cli_text(answer, "id"));
	else if (rc == 0)
		printf("%s wait again%s%s\n", cli_text(answer, "redriven"),
			*cli_text(answer, "stopped_by") ? "; stopped: " : "",
			cli_text(answer, "stopped_by"));
	return rc;
}

static int
purge(struct cli *cli, const struct dead *dead, const char *what, struct err *err)
{
	OWN(json) json_t *answer = NULL;
	OWN(mem)
	char *path = !dead->is_all ? cli_path("/v1/orgs/%s/dead-letters/%s", cli->org, what)
		     : what ? cli_path("/v1/orgs/%s/dead-letters?function=%s", cli->org, what)
			    : cli_path("/v1/orgs/%s/dead-letters", cli->org);
	int rc = cli_ask(cli, "DELETE", path, NULL, &answer, err);

	if (rc == 0 && cli->is_json)
		cli_print_json(answer ? answer : json_null());
	else if (rc == 0 && dead->is_all)
		printf("%s deleted\n", cli_text(answer, "purged"));
	else if (rc == 0)
		printf("deleted %s\n", what);
	return rc;
}

/* A function of such a name is listed with `ls`. */
static bool
is_verb(const char *word)
{
	return strcmp(word, "show") == 0 || strcmp(word, "redrive") == 0 ||
	       strcmp(word, "purge") == 0;
}

static int
run_verb(struct cli *cli, const struct dead *dead, int argc, char **argv, struct err *err)
{
	int n = argc - optind;
	const char *verb = n ? argv[optind] : "ls";
	const char *what = n > 1 ? argv[optind + 1] : NULL;

	if (n <= 2 && strcmp(verb, "ls") == 0)
		return list_dead(cli, dead, what, err);
	if (n == 2 && strcmp(verb, "show") == 0)
		return show_dead(cli, what, err);
	if (n <= 2 && (what || dead->is_all) && strcmp(verb, "redrive") == 0)
		return redrive(cli, dead, what, err);
	if (n <= 2 && (what || dead->is_all) && strcmp(verb, "purge") == 0)
		return purge(cli, dead, what, err);
	if (n == 1 && !is_verb(verb))
		return list_dead(cli, dead, verb, err);
	return cli_operands(argc, argv, -1,
		"ls [FUNCTION], show ID, redrive ID, purge ID, or --all [FUNCTION]", err);
}

int
cmd_dead(struct cli *cli, int argc, char **argv, struct err *err)
{
	static const struct option options[] = {CLI_OPTIONS,
		{"version", required_argument, NULL, 1}, {"to", required_argument, NULL, 2},
		{"all", no_argument, NULL, 3}, {0}};
	struct dead dead = {.n = "20"};
	int option, rc;

	while ((option = cli_option(cli, argc, argv, "hn:", options, err)) >= 0) {
		if (option == 'n')
			dead.n = optarg;
		else if (option == 1)
			dead.version = optarg;
		else if (option == 2)
			dead.to = optarg;
		else
			dead.is_all = true;
	}
	if (option != CLI_END)
		return option == CLI_HELP ? 0 : option;
	rc = cli_context_fill(cli, err);
	return rc < 0 ? rc : run_verb(cli, &dead, argc, argv, err);
}
