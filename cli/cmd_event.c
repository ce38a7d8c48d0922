/* SPDX-License-Identifier: Apache-2.0 */
/* event: sends CloudEvents, and shows those that the org accepts (server-sent events). */
#include "commands.h"
#include "event_wish.h"

const char cmd_event_help[] =
	"usage: mayfly event send [options]\n"
	"       mayfly event tail [-n N]\n"
	"       mayfly event ls [-n N]\n\n"
	"Sends an event to the organisation's triggers; shows the events it accepted last, and\n"
	"with tail goes on as they come, until interrupted; a connection that is lost is made\n"
	"again.\n\n"
	"  -t, --type TYPE      of the event: com.acme.vm.created\n"
	"  -s, --source URI     where it comes from (default /cli)\n"
	"  -u, --subject TEXT   what it is about\n"
	"  -i, --id ID          (default a new one; the same id and source are accepted once a "
	"day)\n"
	"  -d, --data DATA      JSON, or text; @FILE reads a file, @- stdin\n"
	"  -a, --attribute N=V  an extension; repeatable\n"
	"  -f, --file FILE      a CloudEvent in JSON, or an array of them, instead of all these\n"
	"      --stdin          the same from stdin\n"
	"      --dry-run        only says which triggers it would reach, and why\n"
	"  -n N                 events of the past (default 20, most 100)\n\n"
	"  mayfly event send --type com.acme.vm.created --subject vm-1 --data '{\"size\": 3}'\n"
	"With --json tail prints each event as a line of JSON.\n";

/* ---- send ---- */

static void
print_tests(const json_t *answer)
{
	static const char *const titles[] = {
		"EVENT", "TRIGGER", "FUNCTION", "MATCHES", "WHY", NULL};
	struct cli_table *table = cli_table_new(titles);
	const json_t *event, *trigger;
	size_t i, k;

	json_array_foreach (json_object_get(answer, "events"), i, event) {
		json_array_foreach (json_object_get(event, "triggers"), k, trigger) {
			const char *cells[] = {cli_text(event, "id"), cli_text(trigger, "name"),
				cli_text(trigger, "function"),
				json_is_true(json_object_get(trigger, "matches")) ? "yes" : "no",
				cli_text(trigger, "why")};

			cli_table_add(table, cells);
		}
	}
	cli_table_print(table);
}

static int
event_send(struct cli *cli, const struct event_wish *wish, bool is_dry_run, struct err *err)
{
	OWN(json) json_t *answer = NULL;
	int rc = event_wish_send(cli, wish, is_dry_run ? "?dry_run=true" : "", &answer, err);

	if (rc < 0)
		return rc;
	if (cli->is_json)
		cli_print_json(answer);
	else if (is_dry_run)
		print_tests(answer);
	else
		printf("accepted %d, known %d, deliveries %d\n",
			(int)json_integer_value(json_object_get(answer, "accepted")),
			(int)json_integer_value(json_object_get(answer, "known")),
			(int)json_integer_value(json_object_get(answer, "deliveries")));
	return 0;
}

/* ---- ls, tail ---- */

static void
print_event(const struct cli *cli, const json_t *event)
{
	const json_t *data = json_object_get(event, "data");

	if (cli->is_json) {
		json_dumpf(event, stdout, JSON_COMPACT);
	} else {
		printf("%s %s %s %s ", *cli_text(event, "time") ? cli_text(event, "time") : "-",
			cli_text(event, "type"), cli_text(event, "source"),
			*cli_text(event, "subject") ? cli_text(event, "subject") : "-");
		if (data)
			json_dumpf(data, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
		else
			printf("%s", cli_text(event, "data_base64"));
	}
	putchar('\n');
	fflush(stdout);
}

static int
event_list(struct cli *cli, const char *n, struct err *err)
{
	OWN(mem) char *path = cli_path("/v1/orgs/%s/events?n=%s", cli->org, n);
	OWN(json) json_t *answer = NULL;
	int rc = cli_ask(cli, "GET", path, NULL, &answer, err);
	const json_t *event;
	size_t i;

	if (rc < 0)
		return rc;
	if (cli->is_json)
		cli_print_json(json_object_get(answer, "events"));
	else
		json_array_foreach (json_object_get(answer, "events"), i, event)
			print_event(cli, event);
	return 0;
}

static void
on_event(struct str name, struct str data, void *arg)
{
	OWN(json) json_t *document = json_loadb(data.at, data.len, 0, NULL);

	if (document && str_eq(name, STR("event")))
		print_event(arg, document);
	else if (document && str_eq(name, STR("dropped")))
		fprintf(stderr, "%d events were dropped: too slow\n",
			(int)json_integer_value(json_object_get(document, "n")));
}

static int
event_tail(struct cli *cli, const char *n, struct err *err)
{
	OWN(mem) char *path = cli_path("/v1/orgs/%s/events?follow=true&n=%s", cli->org, n);
	const struct cli_follow follow = {.path = path, .on_event = on_event, .arg = cli};

	return cli_follow(cli, &follow, err);
}

int
cmd_event(struct cli *cli, int argc, char **argv, struct err *err)
{
	static const struct option options[] = {
		CLI_OPTIONS, EVENT_WISH_OPTIONS, {"dry-run", no_argument, NULL, 1}, {0}};
	OWN(event_wish) struct event_wish wish = {0};
	bool is_dry_run = false;
	const char *n = "20";
	int option, rc;

	while ((option = cli_option(cli, argc, argv, "hn:" EVENT_WISH_SHORT, options, err)) >= 0) {
		if (event_wish_take(&wish, option, &rc, err)) {
			if (rc < 0)
				return rc;
		} else if (option == 'n') {
			n = optarg;
		} else {
			is_dry_run = true;
		}
	}
	if (option != CLI_END)
		return option == CLI_HELP ? 0 : option;
	rc = cli_context_fill(cli, err);
	if (rc < 0)
		return rc;
	const char *verb = argc - optind == 1 ? argv[optind] : "";

	if (strcmp(verb, "send") == 0)
		return event_send(cli, &wish, is_dry_run, err);
	if (strcmp(verb, "tail") == 0)
		return event_tail(cli, n, err);
	if (strcmp(verb, "ls") == 0)
		return event_list(cli, n, err);
	return cli_operands(argc, argv, -1, "send, tail or ls", err);
}
