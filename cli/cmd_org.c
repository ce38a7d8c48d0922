/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

const char cmd_org_help[] = "usage: mayfly org [ls]\n"
			    "       mayfly org create NAME\n"
			    "       mayfly org show NAME\n"
			    "       mayfly org rm NAME\n"
			    "       mayfly org callback-key [NAME]\n\n"
			    "Organisations: each has its own functions, routes and tokens. "
			    "Creating and deleting needs\n"
			    "a provider's token. Deleting one deletes its functions and tokens.\n"
			    "The callback key is what the callbacks of durable calls are signed "
			    "with: the header\n"
			    "X-Mayfly-Signature has t=<unix seconds>,v1=<hex>, HMAC-SHA256 of "
			    "\"<t>.<body>\".\n";

static int
org_list(struct cli *cli, struct err *err)
{
	static const char *const titles[] = {"NAME", "FUNCTIONS", "CREATED", NULL};
	OWN(json) json_t *answer = NULL;
	int rc = cli_ask(cli, "GET", "/v1/orgs", NULL, &answer, err);
	const json_t *org;
	size_t i;

	if (rc < 0)
		return rc;
	if (cli->is_json) {
		cli_print_json(json_object_get(answer, "orgs"));
		return 0;
	}
	struct cli_table *table = cli_table_new(titles);

	json_array_foreach (json_object_get(answer, "orgs"), i, org) {
		const char *cells[] = {cli_text(org, "name"), cli_text(org, "n_functions"),
			cli_ago(cli_text(org, "created_at"))};

		cli_table_add(table, cells);
	}
	cli_table_print(table);
	return 0;
}

static int
org_create(struct cli *cli, const char *name, struct err *err)
{
	OWN(json) json_t *body = json_pack("{s:s}", "name", name);
	OWN(json) json_t *org = NULL;

	if (!body)
		return err_field(err, ERR_INVALID, "name", "is not UTF-8");
	int rc = cli_ask(cli, "POST", "/v1/orgs", body, &org, err);

	if (rc == 0 && cli->is_json)
		cli_print_json(org);
	else if (rc == 0)
		printf("created %s; its first token: mayfly token create --org %s --role admin "
		       "NAME\n",
			name, name);
	return rc;
}

static int
org_show(struct cli *cli, const char *name, struct err *err)
{
	OWN(mem) char *path = cli_path("/v1/orgs/%s", name);
	OWN(json) json_t *org = NULL;
	int rc = cli_ask(cli, "GET", path, NULL, &org, err);

	if (rc == 0)
		cli_print_json(org);
	return rc;
}

static int
org_remove(struct cli *cli, const char *name, struct err *err)
{
	OWN(mem) char *path = cli_path("/v1/orgs/%s", name);
	int rc = cli_ask(cli, "DELETE", path, NULL, NULL, err);

	if (rc == 0 && cli->is_json)
		printf("{\"deleted\": true}\n");
	else if (rc == 0)
		printf("deleted %s\n", name);
	return rc;
}

static int
org_callback_key(struct cli *cli, const char *name, struct err *err)
{
	OWN(mem) char *path = cli_path("/v1/orgs/%s/callback-key", name);
	OWN(json) json_t *key = NULL;
	int rc = cli_ask(cli, "GET", path, NULL, &key, err);

	if (rc == 0 && cli->is_json)
		cli_print_json(key);
	else if (rc == 0)
		printf("%s\n", cli_text(key, "key"));
	return rc;
}

int
cmd_org(struct cli *cli, int argc, char **argv, struct err *err)
{
	static const struct option options[] = {CLI_OPTIONS, {0}};
	int option = cli_option(cli, argc, argv, "h", options, err);

	if (option != CLI_END)
		return option == CLI_HELP ? 0 : option;
	int rc = cli_context_fill(cli, err);
	int n = argc - optind;
	const char *verb = n ? argv[optind] : "ls";

	if (rc < 0)
		return rc;
	if (n <= 1 && strcmp(verb, "ls") == 0)
		return org_list(cli, err);
	if (n == 2 && strcmp(verb, "create") == 0)
		return org_create(cli, argv[optind + 1], err);
	if (n == 2 && strcmp(verb, "show") == 0)
		return org_show(cli, argv[optind + 1], err);
	if (n == 2 && strcmp(verb, "rm") == 0)
		return org_remove(cli, argv[optind + 1], err);
	if (n <= 2 && strcmp(verb, "callback-key") == 0)
		return org_callback_key(cli, n == 2 ? argv[optind + 1] : cli->org, err);
	return cli_operands(
		argc, argv, -1, "ls, create NAME, show NAME, rm NAME or callback-key [NAME]", err);
}
