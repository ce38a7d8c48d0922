/* SPDX-License-Identifier: Apache-2.0 */
/* queue: what waits for functions, and how it goes. */
#include "commands.h"

const char cmd_queue_help[] =
	"usage: mayfly queue [ls]\n\n"
	"Durable calls of each function: waiting, running, dead, how long the oldest waits, and "
	"what was\n"
	"accepted, done, tried again and refused since the daemon started.\n";

static void
print_queues(const json_t *queues)
{
	static const char *const titles[] = {"FUNCTION", "QUEUED", "RUNNING", "DEAD", "OLDEST",
		"ACCEPTED", "DONE", "RETRIES", "REFUSED", NULL};
	struct cli_table *table = cli_table_new(titles);
	const json_t *queue;
	size_t i;

	json_array_foreach (queues, i, queue) {
		const char *oldest = cli_text(queue, "oldest_at");
		const char *cells[] = {cli_text(queue, "function"), cli_text(queue, "queued"),
			cli_text(queue, "running"), cli_text(queue, "dead"),
			*oldest ? cli_ago(oldest) : "", cli_text(queue, "accepted"),
			cli_text(queue, "done"), cli_text(queue, "retries"),
			cli_text(queue, "refused")};

		cli_table_add(table, cells);
	}
	cli_table_print(table);
}

static int
list_queues(struct cli *cli, struct err *err)
{
	OWN(mem) char *path = cli_path("/v1/orgs/%s/queues", cli->org);
	OWN(json) json_t *answer = NULL;
	int rc = cli_ask(cli, "GET", path, NULL, &answer, err);

	if (rc < 0)
		return rc;
	const json_t *bus = json_object_get(answer, "bus");

	if (cli->is_json) {
		cli_print_json(answer);
		return 0;
	}
	print_queues(json_object_get(answer, "queues"));
	if (!json_is_true(json_object_get(bus, "up")))
		fprintf(stderr, "the bus (%s) does not answer\n", cli_text(bus, "name"));
	return 0;
}

int
cmd_queue(struct cli *cli, int argc, char **argv, struct err *err)
{
	static const struct option options[] = {CLI_OPTIONS, {0}};
	int option = cli_option(cli, argc, argv, "h", options, err);

	if (option != CLI_END)
		return option == CLI_HELP ? 0 : option;
	int rc = cli_context_fill(cli, err);

	if (rc < 0)
		return rc;
	if (argc - optind > 1 || (argc - optind == 1 && strcmp(argv[optind], "ls") != 0))
		return cli_operands(argc, argv, -1, "ls", err);
	return list_queues(cli, err);
}
