/* SPDX-License-Identifier: Apache-2.0 */
/* trigger: which events go to which function or URL. */
#include "base/path.h"
#include "commands.h"
#include "event_wish.h"

const char cmd_trigger_help[] =
	"usage: mayfly trigger [ls]\n"
	"       mayfly trigger show NAME\n"
	"       mayfly trigger put NAME [options]\n"
	"       mayfly trigger rm NAME\n"
	"       mayfly trigger test [NAME] [options of an event]\n\n"
	"A trigger calls a function for each event that fits its filter, or sends it to a URL.\n\n"
	"of put:\n"
	"      --function F     that is called\n"
	"      --to URL         that the event is posted to, instead of a function\n"
	"      --mode MODE      how it goes there: binary or structured (CloudEvents over HTTP)\n"
	"  -t, --type TYPE      exactly; with * (a part) or ** (any) between dots a topic\n"
	"  -s, --source URI     exactly\n"
	"  -u, --subject TEXT   exactly\n"
	"      --filter JSON    a condition, or an array of them, besides these\n"
	"      --order-key A    events with the same value of this attribute run in turn\n"
	"      --attempts N     before a delivery is dead (1 to 100)\n"
	"      --on-success D   who is told that a delivery is done, and\n"
	"      --on-failure D   that it is dead: function:NAME, event:TYPE, a URL; for blocking\n"
	"                       tasks of vCloud Director vcd:task (as the function answers),\n"
	"                       vcd:task:resume, :abort, :fail; five times at most\n"
	"      --disabled       takes no event yet\n"
	"  -f, --file FILE      the whole document in JSON instead; - is stdin\n"
	"of test: those of `mayfly event send`; says for each trigger whether the event would "
	"reach\n"
	"it, and why.\n\n"
	"  mayfly trigger put on-vm --function tag-vm --type 'com.acme.vm.*'\n"
	"  mayfly trigger test on-vm --type com.acme.vm.created\n";

struct trigger_flags {
	const char *function, *url, *mode, *filter, *order_key, *attempts; /* borrowed */
	json_t *on_success, *on_failure;                                   /* owned; NULL without */
	bool is_disabled;
};

static inline void
own_trigger_flags(struct trigger_flags *flags)
{
	json_decref(flags->on_success);
	json_decref(flags->on_failure);
}

/* ---- ls, show, rm ---- */

static const char *
figure(const json_t *trigger, const char *key)
{
	static char texts[4][24];
	static unsigned next;
	char *text = texts[next++ % 4];
	const json_t *figures = json_object_get(trigger, "figures");

	snprintf(text, sizeof(texts[0]), "%lld",
		(long long)json_integer_value(json_object_get(figures, key)));
	return text;
}

static const char *
target(const json_t *trigger)
{
	const char *url = cli_text(trigger, "url");

	return *url ? url : cli_text(trigger, "function");
}

static int
trigger_list(struct cli *cli, struct err *err)
{
	static const char *const titles[] = {
		"NAME", "TARGET", "ENABLED", "MATCHED", "DELIVERED", "FAILED", "WAITING", NULL};
	OWN(mem) char *path = cli_path("/v1/orgs/%s/triggers", cli->org);
	OWN(json) json_t *answer = NULL;
	int rc = cli_ask(cli, "GET", path, NULL, &answer, err);
	const json_t *trigger;
	size_t i;

	if (rc < 0)
		return rc;
	if (cli->is_json) {
		cli_print_json(json_object_get(answer, "triggers"));
		return 0;
	}
	struct cli_table *table = cli_table_new(titles);

	json_array_foreach (json_object_get(answer, "triggers"), i, trigger) {
		const char *cells[] = {cli_text(trigger, "name"), target(trigger),
			json_is_true(json_object_get(trigger, "enabled")) ? "yes" : "no",
			figure(trigger, "matched"), figure(trigger, "delivered"),
			figure(trigger, "failed"), figure(trigger, "waiting")};

		cli_table_add(table, cells);
	}
	cli_table_print(table);
	return 0;
}

static int
trigger_show(struct cli *cli, const char *name, struct err *err)
{
	OWN(mem) char *path = cli_path("/v1/orgs/%s/triggers/%s", cli->org, name);
	OWN(json) json_t *trigger = NULL;
	int rc = cli_ask(cli, "GET", path, NULL, &trigger, err);

	if (rc == 0)
		cli_print_json(trigger);
	return rc;
}

static int
trigger_remove(struct cli *cli, const char *name, struct err *err)
{
	OWN(mem) char *path = cli_path("/v1/orgs/%s/triggers/%s", cli->org, name);
	int rc = cli_ask(cli, "DELETE", path, NULL, NULL, err);

	if (rc == 0 && cli->is_json)
		printf("{\"deleted\": true}\n");
	else if (rc == 0)
		printf("deleted trigger %s\n", name);
	return rc;
}

/* ---- put ---- */

static int
read_document(const char *path, json_t **ret, struct err *err)
{
	OWN(buf) struct buf text = BUF_INIT;
	int rc = path_read(strcmp(path, "-") == 0 ? "/dev/stdin" : path, 65536, &text, err);

	if (rc == 0)
		rc = json_parse(buf_str(&text), ret, err);
	if (rc == 0 && !json_is_object(*ret))
		rc = err_set(err, ERR_INVALID, "%s must hold a JSON object", path);
	return rc;
}

static void
add_condition(json_t *filter, const char *attribute, const char *value)
{
	bool is_topic = strcmp(attribute, "type") == 0 && value && strchr(value, '*');

	if (value)
		json_array_append_new(filter,
			json_pack("{s:{s:s}}", is_topic ? "topic" : "exact", attribute, value));
}

static int
add_filter(json_t *filter, const char *text, struct err *err)
{
	OWN(json) json_t *more = NULL;
	int rc = text ? json_parse(str_of(text), &more, err) : 0;

	if (rc < 0)
		return err_wrap(err, rc, "--filter");
	if (json_is_array(more))
		json_array_extend(filter, more);
	else if (more)
		json_array_append(filter, more);
	return 0;
}

static void
add_queue(const struct trigger_flags *flags, uint64_t attempts, json_t *document)
{
	json_t *queue = json_pack(
		"{s:O*, s:O*}", "on_success", flags->on_success, "on_failure", flags->on_failure);

	if (attempts)
		json_object_set_new(queue, "attempts", json_integer((json_int_t)attempts));
	if (json_object_size(queue))
		json_object_set(document, "queue", queue);
	json_decref(queue);
}

static int
make_document(const struct trigger_flags *flags, const struct event_wish *wish, json_t **ret,
	struct err *err)
{
	OWN(json) json_t *filter = json_array();
	uint64_t attempts = 0;
	int rc;

	if (!flags->function && !flags->url)
		return err_field(
			err, ERR_INVALID, "function", "--function or --to is needed, or -f");
	add_condition(filter, "type", wish->type);
	add_condition(filter, "source", wish->source);
	add_condition(filter, "subject", wish->subject);
	rc = add_filter(filter, flags->filter, err);
	if (rc < 0)
		return rc;
	if (flags->attempts && !str_to_u64(str_of(flags->attempts), &attempts))
		return err_field(err, ERR_INVALID, "attempts", "--attempts takes a number");
	*ret = json_pack("{s:s*, s:s*, s:s*, s:O, s:b, s:s*}", "function", flags->function, "url",
		flags->url, "mode", flags->mode, "filter", filter, "enabled", !flags->is_disabled,
		"order_key", flags->order_key);
	if (!*ret)
		return err_set(err, ERR_INVALID, "an option is not UTF-8");
	add_queue(flags, attempts, *ret);
	return 0;
}

static int
trigger_put(struct cli *cli, const char *name, const struct trigger_flags *flags,
	const struct event_wish *wish, struct err *err)
{
	OWN(mem) char *path = cli_path("/v1/orgs/%s/triggers/%s", cli->org, name);
	OWN(json) json_t *document = NULL;
	OWN(json) json_t *trigger = NULL;
	int rc = wish->file ? read_document(wish->file, &document, err)
			    : make_document(flags, wish, &document, err);

	if (rc == 0)
		rc = cli_ask(cli, "PUT", path, document, &trigger, err);
	if (rc < 0)
		return rc;
	if (cli->is_json)
		cli_print_json(trigger);
	else
		printf("trigger %s %s %s\n", cli_text(trigger, "name"),
			*cli_text(trigger, "url") ? "posts to" : "calls", target(trigger));
	return 0;
}

/* ---- test ---- */

static void
print_test(const json_t *event, const json_t *trigger)
{
	printf("%s %s %s: %s\n", cli_text(event, "id"),
		json_is_true(json_object_get(trigger, "matches")) ? "reaches" : "passes",
		cli_text(trigger, "name"), cli_text(trigger, "why"));
}

/* Gives how many triggers of that name (NULL: any) there are. */
static size_t
print_tests(const json_t *answer, const char *name)
{
	const json_t *event, *trigger;
	size_t i, k, n = 0;

	json_array_foreach (json_object_get(answer, "events"), i, event) {
		json_array_foreach (json_object_get(event, "triggers"), k, trigger) {
			if (name && strcmp(cli_text(trigger, "name"), name) != 0)
				continue;
			print_test(event, trigger);
			n++;
		}
	}
	return n;
}

static int
trigger_test(struct cli *cli, const char *name, const struct event_wish *wish, struct err *err)
{
	OWN(json) json_t *answer = NULL;
	int rc = event_wish_send(cli, wish, "?dry_run=true", &answer, err);

	if (rc < 0)
		return rc;
	if (cli->is_json)
		cli_print_json(json_object_get(answer, "events"));
	else if (!print_tests(answer, name) && name)
		return err_set(err, ERR_NOT_FOUND, "there is no trigger %s", name);
	return 0;
}

static void
add_destination(json_t **list)
{
	json_t *text = json_string(optarg);

	*list = *list ? *list : json_array();
	json_array_append_new(*list, text ? text : json_null()); /* not UTF-8: the daemon says so */
}

static void
take_flag(struct trigger_flags *flags, int option)
{
	switch (option) {
	case 21:
		add_destination(&flags->on_success);
		return;
	case 22:
		add_destination(&flags->on_failure);
		return;
	case 3:
		flags->function = optarg;
		return;
	case 4:
		flags->filter = optarg;
		return;
	case 5:
		flags->order_key = optarg;
		return;
	case 6:
		flags->attempts = optarg;
		return;
	case 8:
		flags->url = optarg;
		return;
	case 9:
		flags->mode = optarg;
		return;
	default:
		flags->is_disabled = true;
	}
}

static int
run(struct cli *cli, int argc, char **argv, const struct trigger_flags *flags,
	const struct event_wish *wish, struct err *err)
{
	int n = argc - optind;
	const char *verb = n ? argv[optind] : "ls", *name = n > 1 ? argv[optind + 1] : NULL;

	if (n <= 1 && strcmp(verb, "ls") == 0)
		return trigger_list(cli, err);
	if (n == 2 && strcmp(verb, "show") == 0)
		return trigger_show(cli, name, err);
	if (n == 2 && strcmp(verb, "put") == 0)
		return trigger_put(cli, name, flags, wish, err);
	if (n == 2 && strcmp(verb, "rm") == 0)
		return trigger_remove(cli, name, err);
	if (n && n <= 2 && strcmp(verb, "test") == 0)
		return trigger_test(cli, name, wish, err);
	return cli_operands(argc, argv, -1, "ls, show NAME, put NAME, rm NAME or test [NAME]", err);
}

int
cmd_trigger(struct cli *cli, int argc, char **argv, struct err *err)
{
	static const struct option options[] = {CLI_OPTIONS, EVENT_WISH_OPTIONS,
		{"function", required_argument, NULL, 3}, {"filter", required_argument, NULL, 4},
		{"order-key", required_argument, NULL, 5}, {"attempts", required_argument, NULL, 6},
		{"disabled", no_argument, NULL, 7}, {"to", required_argument, NULL, 8},
		{"mode", required_argument, NULL, 9}, {"on-success", required_argument, NULL, 21},
		{"on-failure", required_argument, NULL, 22}, {0}};
	OWN(event_wish) struct event_wish wish = {0};
	OWN(trigger_flags) struct trigger_flags flags = {0};
	int option, rc;

	while ((option = cli_option(cli, argc, argv, "h" EVENT_WISH_SHORT, options, err)) >= 0) {
		if (!event_wish_take(&wish, option, &rc, err))
			take_flag(&flags, option);
		if (rc < 0)
			return rc;
	}
	if (option != CLI_END)
		return option == CLI_HELP ? 0 : option;
	rc = cli_context_fill(cli, err);
	return rc < 0 ? rc : run(cli, argc, argv, &flags, &wish, err);
}
