/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

const char cmd_token_help[] =
	"usage: mayfly token [ls]\n"
	"       mayfly token create [--role ROLE] [--expires DURATION] NAME\n"
	"       mayfly token rm ID\n\n"
	"Tokens of the organisation. A token's secret is printed once, when it is made.\n\n"
	"  -r, --role ROLE     viewer: look; invoker: and call; developer (default): and deploy;\n"
	"                      admin: and make tokens\n"
	"      --expires D     90d, 12h …; default never\n\n"
	"  mayfly token create --role invoker ci > token.txt\n";

struct token_flags {
	const char *role, *expires; /* borrowed */
};

static int
token_list(struct cli *cli, struct err *err)
{
	static const char *const titles[] = {
		"ID", "NAME", "ROLE", "PREFIX", "CREATED", "LAST USED", "EXPIRES", NULL};
	OWN(mem) char *path = cli_path("/v1/orgs/%s/tokens", cli->org);
	OWN(json) json_t *answer = NULL;
	int rc = cli_ask(cli, "GET", path, NULL, &answer, err);
	const json_t *token;
	size_t i;

	if (rc < 0)
		return rc;
	if (cli->is_json) {
		cli_print_json(json_object_get(answer, "tokens"));
		return 0;
	}
	struct cli_table *table = cli_table_new(titles);

	json_array_foreach (json_object_get(answer, "tokens"), i, token) {
		const char *used = cli_text(token, "last_used_at");
		const char *expires = cli_text(token, "expires_at");
		const char *cells[] = {cli_text(token, "id"), cli_text(token, "name"),
			cli_text(token, "role"), cli_text(token, "prefix"),
			cli_ago(cli_text(token, "created_at")), *used ? cli_ago(used) : "never",
			*expires ? expires : "never"};

		cli_table_add(table, cells);
	}
	cli_table_print(table);
	return 0;
}

static int
token_create(struct cli *cli, const struct token_flags *flags, const char *name, struct err *err)
{
	OWN(json) json_t *body = json_pack("{s:s,s:s}", "name", name, "role", flags->role);
	OWN(mem) char *path = cli_path("/v1/orgs/%s/tokens", cli->org);
	OWN(json) json_t *token = NULL;

	if (!body)
		return err_field(err, ERR_INVALID, "name", "is not UTF-8");
	if (flags->expires)
		json_object_set_new(body, "expires_in", json_string(flags->expires));
	int rc = cli_ask(cli, "POST", path, body, &token, err);

	if (rc < 0)
		return rc;
	if (cli->is_json) {
		cli_print_json(token);
		return 0;
	}
	/* The secret alone on stdout, so that it can be sent into a file. */
	printf("%s\n", cli_text(token, "secret"));
	fprintf(stderr, "token %s (%s, %s); its secret is not shown again\n", cli_text(token, "id"),
		cli_text(token, "name"), cli_text(token, "role"));
	return 0;
}

static int
token_remove(struct cli *cli, const char *id, struct err *err)
{
	OWN(mem) char *path = cli_path("/v1/orgs/%s/tokens/%s", cli->org, id);
	int rc = cli_ask(cli, "DELETE", path, NULL, NULL, err);

	if (rc == 0 && cli->is_json)
		printf("{\"revoked\": true}\n");
	else if (rc == 0)
		printf("revoked %s\n", id);
	return rc;
}

int
cmd_token(struct cli *cli, int argc, char **argv, struct err *err)
{
	static const struct option options[] = {CLI_OPTIONS, {"role", required_argument, NULL, 'r'},
		{"expires", required_argument, NULL, 1}, {0}};
	struct token_flags flags = {.role = "developer"};
	int option;

	while ((option = cli_option(cli, argc, argv, "hr:", options, err)) >= 0) {
		if (option == 'r')
			flags.role = optarg;
		else
			flags.expires = optarg;
	}
	if (option != CLI_END)
		return option == CLI_HELP ? 0 : option;
	int rc = cli_context_fill(cli, err);
	int n = argc - optind;
	const char *verb = n ? argv[optind] : "ls";

	if (rc < 0)
		return rc;
	if (n <= 1 && strcmp(verb, "ls") == 0)
		return token_list(cli, err);
	if (n == 2 && strcmp(verb, "create") == 0)
		return token_create(cli, &flags, argv[optind + 1], err);
	if (n == 2 && strcmp(verb, "rm") == 0)
		return token_remove(cli, argv[optind + 1], err);
	return cli_operands(argc, argv, -1, "ls, create NAME or rm ID", err);
}
