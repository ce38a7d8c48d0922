/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include "base/path.h"

#define SCHEDULE_FILE_MAX (64u << 10)

const char cmd_schedule_help[] =
	"usage: mayfly schedule [ls]\n"
	"       mayfly schedule put NAME --function F --cron \"30 2 * * *\" [--zone "
	"Europe/Berlin]\n"
	"       mayfly schedule put NAME --function F --every 90s\n"
	"       mayfly schedule put NAME --function F --at 2027-01-01T00:00:00Z\n"
	"       mayfly schedule put NAME --file SCHEDULE.json\n"
	"       mayfly schedule show|enable|disable|rm NAME\n\n"
	"Calls a function at set times. Each run is a durable call that is put once, also when "
	"the\n"
	"daemon dies around its time. The function gets {\"schedule\",\"planned\",\"payload\"}.\n\n"
	"  -f, --function F    what is called\n"
	"      --cron C        minute hour day month weekday, or @hourly @daily @weekly @monthly "
	"…\n"
	"      --every D       30s, 5m, 2h, 1d: counted from when it is put\n"
	"      --at T          once; without Z or an offset it is the zone's time\n"
	"      --zone Z        of the tz database, Europe/Berlin; default UTC\n"
	"      --payload JSON  what the function gets as payload\n"
	"      --missed M      skip (default), or once: what was missed is made up for by one run\n"
	"      --attempts N    how often a run is tried\n"
	"      --disabled      put, but not run\n"
	"      --file FILE     all of it as JSON, as GET answers; - for stdin\n\n"
	"  mayfly schedule put nightly -f report --cron \"30 2 * * *\" --zone Europe/Berlin\n";

/* What GET answers and PUT does not take. */
static const char *const answered_only[] = {
	"state", "next", "last", "failure", "created_at", "updated_at", NULL};

/* ---- looking ---- */

static const char *
schedule_when(const json_t *schedule)
{
	static const char *const keys[] = {"cron", "every", "at"};

	for (size_t i = 0; i < 3; i++)
		if (json_object_get(schedule, keys[i]))
			return cli_text(schedule, keys[i]);
	return "";
}

static int
schedule_list(struct cli *cli, struct err *err)
{
	static const char *const titles[] = {
		"NAME", "FUNCTION", "WHEN", "ZONE", "STATE", "NEXT", "LAST", NULL};
	OWN(mem) char *path = cli_path("/v1/orgs/%s/schedules", cli->org);
	OWN(json) json_t *answer = NULL;
	int rc = cli_ask(cli, "GET", path, NULL, &answer, err);
	const json_t *schedule;
	size_t i;

	if (rc < 0)
		return rc;
	if (cli->is_json) {
		cli_print_json(json_object_get(answer, "schedules"));
		return 0;
	}
	struct cli_table *table = cli_table_new(titles);

	json_array_foreach (json_object_get(answer, "schedules"), i, schedule) {
		const json_t *next = json_array_get(json_object_get(schedule, "next"), 0);
		const json_t *last = json_object_get(schedule, "last");
		const char *cells[] = {cli_text(schedule, "name"), cli_text(schedule, "function"),
			schedule_when(schedule), cli_text(schedule, "zone"),
			cli_text(schedule, "state"), next ? json_string_value(next) : "-",
			json_is_object(last) ? cli_ago(cli_text(last, "planned")) : "-"};

		cli_table_add(table, cells);
	}
	cli_table_print(table);
	return 0;
}

static int
schedule_get(struct cli *cli, const char *name, json_t **ret, struct err *err)
{
	OWN(mem) char *path = cli_path("/v1/orgs/%s/schedules/%s", cli->org, name);

	return cli_ask(cli, "GET", path, NULL, ret, err);
}

static int
schedule_show(struct cli *cli, const char *name, struct err *err)
{
	OWN(json) json_t *schedule = NULL;
	int rc = schedule_get(cli, name, &schedule, err);

	if (rc == 0)
		cli_print_json(schedule);
	return rc;
}

/* ---- changing ---- */

static int
schedule_send(
	struct cli *cli, const char *name, const json_t *body, const char *what, struct err *err)
{
	OWN(mem) char *path = cli_path("/v1/orgs/%s/schedules/%s", cli->org, name);
	OWN(json) json_t *schedule = NULL;
	int rc = cli_ask(cli, "PUT", path, body, &schedule, err);
	const json_t *next;

	if (rc < 0)
		return rc;
	if (cli->is_json) {
		cli_print_json(schedule);
		return 0;
	}
	next = json_array_get(json_object_get(schedule, "next"), 0);
	printf("%s %s%s%s\n", what, name, next ? ", next " : "",
		next ? json_string_value(next) : "");
	return 0;
}

static void
schedule_strip(json_t *schedule)
{
	for (size_t i = 0; answered_only[i]; i++)
		json_object_del(schedule, answered_only[i]);
}

static int
schedule_switch(struct cli *cli, const char *name, bool is_enabled, struct err *err)
{
	OWN(json) json_t *schedule = NULL;
	int rc = schedule_get(cli, name, &schedule, err);

	if (rc < 0)
		return rc;
	schedule_strip(schedule);
	json_object_set_new(schedule, "enabled", json_boolean(is_enabled));
	return schedule_send(cli, name, schedule, is_enabled ? "enabled" : "disabled", err);
}

static int
schedule_remove(struct cli *cli, const char *name, struct err *err)
{
	OWN(mem) char *path = cli_path("/v1/orgs/%s/schedules/%s", cli->org, name);
	int rc = cli_ask(cli, "DELETE", path, NULL, NULL, err);

	if (rc == 0 && cli->is_json)
		printf("{\"deleted\": true}\n");
	else if (rc == 0)
		printf("deleted %s\n", name);
	return rc;
}

/* ---- put ---- */

enum schedule_option {
	OPTION_CRON = 1,
	OPTION_EVERY,
	OPTION_AT,
	OPTION_ZONE,
	OPTION_PAYLOAD,
	OPTION_MISSED,
	OPTION_ATTEMPTS,
	OPTION_DISABLED,
	OPTION_FILE,
};

static const struct option schedule_options[] = {CLI_OPTIONS,
	{"function", required_argument, NULL, 'f'}, {"cron", required_argument, NULL, OPTION_CRON},
	{"every", required_argument, NULL, OPTION_EVERY},
	{"at", required_argument, NULL, OPTION_AT}, {"zone", required_argument, NULL, OPTION_ZONE},
	{"payload", required_argument, NULL, OPTION_PAYLOAD},
	{"missed", required_argument, NULL, OPTION_MISSED},
	{"attempts", required_argument, NULL, OPTION_ATTEMPTS},
	{"disabled", no_argument, NULL, OPTION_DISABLED},
	{"file", required_argument, NULL, OPTION_FILE}, {0}};

static int
schedule_set_text(json_t *body, const char *key, const char *text, struct err *err)
{
	json_t *value = json_string(text);

	if (!value)
		return err_field(err, ERR_INVALID, key, "%s is not UTF-8", key);
	json_object_set_new(body, key, value);
	return 0;
}

static int
schedule_set_payload(json_t *body, const char *text, struct err *err)
{
	json_t *value = NULL;
	int rc = json_parse(str_of(text), &value, err);

	if (rc < 0)
		return err_wrap(err, rc, "--payload");
	json_object_set_new(body, "payload", value);
	return 0;
}

static int
schedule_set_attempts(json_t *body, const char *text, struct err *err)
{
	uint64_t attempts;

	if (!str_to_u64(str_of(text), &attempts) || attempts > 1000)
		return err_set(err, ERR_INVALID, "--attempts %s is not a number", text);
	json_object_set_new(body, "queue", json_pack("{s:I}", "attempts", (json_int_t)attempts));
	return 0;
}

static int
schedule_set_file(json_t *body, const char *file, struct err *err)
{
	const char *path = strcmp(file, "-") == 0 ? "/dev/stdin" : file;
	OWN(buf) struct buf text = BUF_INIT;
	OWN(json) json_t *json = NULL;
	int rc = path_read(path, SCHEDULE_FILE_MAX, &text, err);

	if (rc == 0)
		rc = json_parse(buf_str(&text), &json, err);
	if (rc < 0)
		return err_wrap(err, rc, "%s", file);
	if (!json_is_object(json))
		return err_set(err, ERR_INVALID, "%s: an object is needed", file);
	schedule_strip(json);
	json_object_update(body, json);
	return 0;
}

static int
schedule_set(json_t *body, int option, struct err *err)
{
	static const char *const keys[] = {[OPTION_CRON] = "cron",
		[OPTION_EVERY] = "every",
		[OPTION_AT] = "at",
		[OPTION_ZONE] = "zone",
		[OPTION_MISSED] = "missed"};

	switch (option) {
	case 'f':
		return schedule_set_text(body, "function", optarg, err);
	case OPTION_PAYLOAD:
		return schedule_set_payload(body, optarg, err);
	case OPTION_ATTEMPTS:
		return schedule_set_attempts(body, optarg, err);
	case OPTION_FILE:
		return schedule_set_file(body, optarg, err);
	case OPTION_DISABLED:
		json_object_set_new(body, "enabled", json_false());
		return 0;
	default:
		return schedule_set_text(body, keys[option], optarg, err);
	}
}

int
cmd_schedule(struct cli *cli, int argc, char **argv, struct err *err)
{
	OWN(json) json_t *body = json_object();
	int option, rc = 0;

	while (rc == 0 && (option = cli_option(cli, argc, argv, "hf:", schedule_options, err)) >= 0)
		rc = schedule_set(body, option, err);
	if (rc < 0)
		return rc;
	if (option != CLI_END)
		return option == CLI_HELP ? 0 : option;
	rc = cli_context_fill(cli, err);
	int n = argc - optind;
	const char *verb = n ? argv[optind] : "ls", *name = n > 1 ? argv[optind + 1] : NULL;

	if (rc < 0)
		return rc;
	if (n <= 1 && strcmp(verb, "ls") == 0)
		return schedule_list(cli, err);
	if (n == 2 && strcmp(verb, "put") == 0)
		return schedule_send(cli, name, body, "put", err);
	if (n == 2 && strcmp(verb, "show") == 0)
		return schedule_show(cli, name, err);
	if (n == 2 && (strcmp(verb, "enable") == 0 || strcmp(verb, "disable") == 0))
		return schedule_switch(cli, name, verb[0] == 'e', err);
	if (n == 2 && strcmp(verb, "rm") == 0)
		return schedule_remove(cli, name, err);
	return cli_operands(argc, argv, -1,
		"ls, put NAME, show NAME, enable NAME, disable NAME or rm NAME", err);
}
