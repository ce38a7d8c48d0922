/* SPDX-License-Identifier: Apache-2.0 */
/* call: one call, its answer on stdout. calls: what happened in earlier ones. */
#include "base/base64.h"
#include "base/clock.h"
#include "base/path.h"
#include "commands.h"

const char cmd_call_help[] =
	"usage: mayfly call [options] FUNCTION\n\n"
	"Calls a function and prints its answer. Directly, with JSON in and out; or, with -X, -p "
	"or\n"
	"-H, as an HTTP request at its route.\n\n"
	"  -d, --data DATA       the event as JSON (the body with -X …); @FILE reads a file, - "
	"stdin\n"
	"  -X, --method METHOD   call its route with this method\n"
	"  -p, --path PATH       behind the route, with its query: /items?x=1\n"
	"  -H, --header H        'Name: value'; repeatable\n"
	"  -v, --verbose         call id, status, wall and CPU time on stderr\n\n"
	"A durable call is tried until it succeeds or is dead; its id is printed, or with --wait "
	"its "
	"result:\n"
	"      --async           make it durable\n"
	"      --wait TIME       for its result, so long: 30s, 5m\n"
	"      --order-key K     calls of one key run one after the other\n"
	"      --idempotency-key K   the same key within a day is the same call\n"
	"      --callback URL    its result is posted there\n"
	"      --delay SECONDS   before the first attempt\n\n"
	"  mayfly call hello -d '{\"name\":\"Ada\"}'\n"
	"  mayfly call hello -X GET -p '?name=Ada' -v\n"
	"  mayfly call report --async --wait 5m -d @order.json\n\n"
	"Exit status 7 when the function failed, or its durable call is dead.\n";

const char cmd_calls_help[] =
	"usage: mayfly calls [options] [FUNCTION]\n"
	"       mayfly calls show ID\n"
	"       mayfly calls cancel ID\n\n"
	"Lists calls, those in flight first, then those that ended, newest first; shows one "
	"call's\n"
	"record, with what it measured and what it printed; cancels one that still runs.\n\n"
	"  -n N            at most N of each (default 20, most 1000)\n"
	"      --failed    failed ones only\n"
	"      --code C    that ended with this code: ok, timeout, memory_exceeded …\n";

#define DATA_MAX        (100u * 1024 * 1024)
#define CALL_TIMEOUT_MS (20 * 60 * 1000)
#define HEADERS_MAX     64
#define WAIT_MS_MAX     30000

struct call {
	const char *function, *method, *path; /* borrowed */
	const char *headers[HEADERS_MAX + 4]; /* borrowed, NULL-terminated */
	size_t n_headers;
	struct buf data; /* owned */
	bool has_data, is_verbose;
	bool is_async, has_route;
	uint64_t wait_ms; /* 0 for not at all */
	char *own[4];     /* owned: headers of a durable call */
	size_t n_own;
};

enum {
	OPTION_ASYNC = 1,
	OPTION_WAIT,
	OPTION_ORDER,
	OPTION_IDEMPOTENCY,
	OPTION_CALLBACK,
	OPTION_DELAY
};

static int
read_stdin(struct buf *out, struct err *err)
{
	size_t n;

	while ((n = fread(buf_room(out, 65536), 1, 65536, stdin)) > 0) {
		buf_grew(out, n);
		if (out->len > DATA_MAX)
			return err_set(
				err, ERR_TOO_LARGE, "stdin holds more than %u bytes", DATA_MAX);
	}
	return ferror(stdin) ? err_sys(err, "reading stdin") : 0;
}

static int
take_data(struct call *call, const char *text, struct err *err)
{
	buf_clear(&call->data);
	call->has_data = true;
	if (strcmp(text, "-") == 0)
		return read_stdin(&call->data, err);
	if (text[0] == '@')
		return path_read(text + 1, DATA_MAX, &call->data, err);
	buf_add_text(&call->data, text);
	return 0;
}

static int
take_header(struct call *call, const char *header, struct err *err)
{
	if (call->n_headers == HEADERS_MAX)
		return err_set(err, ERR_INVALID, "more than %d headers", HEADERS_MAX);
	call->headers[call->n_headers++] = header;
	return 0;
}

/* What is said of a durable call goes in a header of its own. */
static int
take_async_flag(struct call *call, int option, struct err *err)
{
	static const char *const names[] = {[OPTION_ORDER] = "X-Mayfly-Order-Key",
		[OPTION_IDEMPOTENCY] = "Idempotency-Key",
		[OPTION_CALLBACK] = "X-Callback-Url",
		[OPTION_DELAY] = "X-Mayfly-Delay"};

	call->is_async = true;
	if (option == OPTION_ASYNC)
		return 0;
	if (option == OPTION_WAIT) {
		if (clock_parse_ms(str_of(optarg), &call->wait_ms) && call->wait_ms)
			return 0;
		return err_set(err, ERR_INVALID, "--wait takes a time like 30s or 5m");
	}
	if (call->n_own == sizeof(call->own) / sizeof(call->own[0]))
		return err_set(err, ERR_INVALID, "a flag is said twice");
	call->own[call->n_own] = mem_printf("%s: %s", names[option], optarg);
	return take_header(call, call->own[call->n_own++], err);
}

static int
take_flag(struct call *call, int option, struct err *err)
{
	if (option >= OPTION_ASYNC && option <= OPTION_DELAY)
		return take_async_flag(call, option, err);
	switch (option) {
	case 'd':
		return take_data(call, optarg, err);
	case 'X':
		call->method = optarg;
		return 0;
	case 'p':
		call->path = optarg;
		return 0;
	case 'H':
		call->has_route = true;
		return take_header(call, optarg, err);
	default:
		call->is_verbose = true;
		return 0;
	}
}

static struct str
answer_header(const struct http_client_answer *answer, struct str name)
{
	struct str rest = buf_str(&answer->headers);

	while (rest.len) {
		struct str value = str_cut(&rest, '\n'), key = str_cut(&value, ':');

		if (str_eq_case(key, name))
			return str_trim(value);
	}
	return STR_NONE;
}

/* The path of the route: what the daemon says, since the route need not be the name. */
static int
route_path(struct cli *cli, const struct call *call, char **ret, struct err *err)
{
	OWN(json) json_t *function = NULL;
	OWN(mem) char *show = cli_path("/v1/orgs/%s/functions/%s", cli->org, call->function);
	int rc = cli_ask(cli, "GET", show, NULL, &function, err);
	const char *path = call->path ? call->path : "";
	bool needs_slash = *path && *path != '/' && *path != '?';

	if (rc == 0)
		*ret = mem_printf("/api/org/%s/%s%s%s", cli->org, cli_text(function, "route"),
			needs_slash ? "/" : "", path);
	return rc;
}

static int
send_call(struct cli *cli, struct call *call, struct http_client_answer *answer, struct err *err)
{
	bool is_direct = !call->method && !call->path && !call->has_route;
	OWN(mem) char *path = NULL;
	struct http_client *client = NULL;
	int rc = cli_client(cli, &client, err);

	if (rc == 0 && is_direct) {
		path = call->is_async ? cli_path("/v1/orgs/%s/functions/%s/calls?mode=async",
						cli->org, call->function)
				      : cli_path("/v1/orgs/%s/functions/%s/calls", cli->org,
						call->function);
		call->headers[call->n_headers++] = "Content-Type: application/json";
	} else if (rc == 0) {
		rc = route_path(cli, call, &path, err);
		if (rc == 0 && call->is_async)
			rc = take_header(call, "X-Mayfly-Mode: async", err);
	}
	if (rc < 0)
		return rc;
	const char *method = call->method                  ? call->method
			     : is_direct || call->has_data ? "POST"
							   : "GET";

	return http_client_send(client, method, path, call->headers, buf_str(&call->data),
		CALL_TIMEOUT_MS, answer, err);
}

static int
find_record(struct cli *cli, struct str id, json_t **ret, struct err *err)
{
	OWN(mem) char *text = str_dup(id);
	OWN(mem) char *path = cli_path("/v1/orgs/%s/calls/%s", cli->org, text);

	return cli_ask(cli, "GET", path, NULL, ret, err);
}

static uint64_t
number_of(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

/* A figure that the machine could not measure is null in the record. */
static const char *
figure_of(const json_t *record, const char *key, const char *(*print)(uint64_t))
{
	return json_is_integer(json_object_get(record, key)) ? print(number_of(record, key))
							     : "not measured";
}

static bool
is_done(const json_t *call)
{
	return json_object_get(call, "code") != NULL;
}

static void
print_figures(const json_t *record, FILE *out)
{
	fprintf(out, "call %s: %s, status %s, version %s, %s\n", cli_text(record, "id"),
		cli_text(record, "code"), cli_text(record, "status"), cli_text(record, "version"),
		json_is_true(json_object_get(record, "cold")) ? "cold" : "warm");
	fprintf(out, "wall %s, CPU %s, waited %s, peak memory %s, in %s, out %s\n",
		cli_micros(number_of(record, "wall_us")), figure_of(record, "cpu_us", cli_micros),
		cli_micros(number_of(record, "queue_us")),
		figure_of(record, "memory_peak_bytes", cli_bytes),
		cli_bytes(number_of(record, "bytes_in")),
		cli_bytes(number_of(record, "bytes_out")));
	if (number_of(record, "egress_bytes_in") || number_of(record, "egress_bytes_out"))
		fprintf(out, "network in %s, out %s\n",
			cli_bytes(number_of(record, "egress_bytes_in")),
			cli_bytes(number_of(record, "egress_bytes_out")));
}

static void
print_json_answer(const struct http_client_answer *answer, struct str id, json_t *record)
{
	OWN(json) json_t *document = json_object();
	json_t *body = json_loadb(
		answer->body.at ? answer->body.at : "", answer->body.len, JSON_DECODE_ANY, NULL);

	if (!body)
		body = json_stringn(answer->body.at ? answer->body.at : "", answer->body.len);
	json_object_set_new(document, "status", json_integer(answer->status));
	json_object_set_new(document, "call_id", json_stringn(id.at ? id.at : "", id.len));
	json_object_set_new(document, "body", body ? body : json_null());
	if (record)
		json_object_set(document, "record", record);
	cli_print_json(document);
}

/* Errors of the platform and of a function that failed carry x-mayfly-error; a status of 400 and
 * more without it is an answer that the function chose. */
static int
answer_error(const struct http_client_answer *answer, struct err *err)
{
	if (!answer_header(answer, STR("x-mayfly-error")).len)
		return 0;
	return cli_error(answer->status, buf_str(&answer->body), err);
}

static int
print_answer(struct cli *cli, const struct call *call, const struct http_client_answer *answer,
	struct err *err)
{
	struct str id = answer_header(answer, STR("x-call-id"));
	OWN(json) json_t *record = NULL;
	int failure = answer_error(answer, err);
	int rc = 0;

	/* The record explains; it must not hide the answer where it cannot be had. */
	if (id.len && (call->is_verbose || cli->is_json))
		rc = find_record(cli, id, &record, failure ? &(struct err){0} : err);
	if (cli->is_json)
		print_json_answer(answer, id, record);
	else if (!failure)
		fwrite(answer->body.at ? answer->body.at : "", 1, answer->body.len, stdout);
	if (!failure && !cli->is_json && isatty(STDOUT_FILENO))
		putchar('\n');
	if (record && call->is_verbose && !cli->is_json) {
		fflush(stdout);
		print_figures(record, stderr);
	}
	return failure ? failure : rc;
}

/* ---- durable calls ---- */

static bool
has_ended(const json_t *call)
{
	const char *state = cli_text(call, "state");

	return strcmp(state, "queued") != 0 && strcmp(state, "running") != 0;
}

/* The daemon waits a minute at most. */
static int
await(struct cli *cli, const char *id, uint64_t wait_ms, json_t **ret, struct err *err)
{
	uint64_t until_us = clock_mono_us() + wait_ms * 1000;

	for (;;) {
		uint64_t now_us = clock_mono_us();
		uint64_t left_ms = until_us > now_us ? (until_us - now_us) / 1000 : 0;
		OWN(mem)
		char *time = mem_printf("%llums",
			(unsigned long long)(left_ms < WAIT_MS_MAX ? left_ms : WAIT_MS_MAX));
		OWN(mem)
		char *path = cli_path("/v1/orgs/%s/calls/%s?wait=%s", cli->org, id, time);
		int rc = cli_ask(cli, "GET", path, NULL, ret, err);

		if (rc < 0 || has_ended(*ret))
			return rc;
		if (!left_ms)
			return err_set(err, ERR_TIMEOUT, "call %s is still %s", id,
				cli_text(*ret, "state"));
		json_decref(take_ptr(ret));
	}
}

static void
print_result(const json_t *delivery)
{
	const json_t *result = json_object_get(delivery, "result");
	const char *coded = json_string_value(json_object_get(result, "body_base64"));
	const char *text = json_string_value(json_object_get(result, "body"));
	OWN(buf) struct buf bytes = BUF_INIT;

	if (coded && base64_decode(str_of(coded), &bytes))
		fwrite(bytes.at ? bytes.at : "", 1, bytes.len, stdout);
	else if (text)
		fputs(text, stdout);
	if (isatty(STDOUT_FILENO))
		putchar('\n');
}

static int
delivery_error(const char *id, const json_t *delivery, struct err *err)
{
	const char *state = cli_text(delivery, "state");
	int code = err_from_word(cli_text(delivery, "code"));

	if (strcmp(state, "done") == 0)
		return 0;
	return err_set(err, code < 0 ? code : ERR_FUNCTION, "call %s is %s: %s", id, state,
		cli_text(delivery, "message"));
}

static int
print_accepted(struct cli *cli, const struct call *call, const struct http_client_answer *answer,
	struct err *err)
{
	OWN(mem) char *id = str_dup(answer_header(answer, STR("x-call-id")));
	OWN(json) json_t *record = NULL;
	int rc = answer_error(answer, err);

	if (rc < 0)
		return rc;
	if (!call->wait_ms) {
		if (cli->is_json)
			printf("{\"id\": \"%s\", \"state\": \"queued\"}\n", id);
		else
			printf("%s\n", id);
		return 0;
	}
	rc = await(cli, id, call->wait_ms, &record, err);
	if (rc < 0)
		return rc;
	const json_t *delivery = json_object_get(record, "delivery");

	if (cli->is_json)
		cli_print_json(record);
	else
		print_result(delivery);
	return delivery_error(id, delivery, err);
}

int
cmd_call(struct cli *cli, int argc, char **argv, struct err *err)
{
	static const struct option options[] = {CLI_OPTIONS, {"data", required_argument, NULL, 'd'},
		{"method", required_argument, NULL, 'X'}, {"path", required_argument, NULL, 'p'},
		{"header", required_argument, NULL, 'H'}, {"verbose", no_argument, NULL, 'v'},
		{"async", no_argument, NULL, OPTION_ASYNC},
		{"wait", required_argument, NULL, OPTION_WAIT},
		{"order-key", required_argument, NULL, OPTION_ORDER},
		{"idempotency-key", required_argument, NULL, OPTION_IDEMPOTENCY},
		{"callback", required_argument, NULL, OPTION_CALLBACK},
		{"delay", required_argument, NULL, OPTION_DELAY}, {0}};
	struct call call = {.data = BUF_INIT};
	struct http_client_answer answer = {0};
	int option, rc = 0;

	while (rc == 0 && (option = cli_option(cli, argc, argv, "hd:X:p:H:v", options, err)) >= 0)
		rc = take_flag(&call, option, err);
	if (rc == 0 && option != CLI_END)
		rc = option;
	if (rc == 0)
		rc = cli_operands(argc, argv, 1, "the name of a function", err);
	if (rc == 0)
		rc = cli_context_fill(cli, err);
	if (rc == 0) {
		call.function = argv[optind];
		rc = send_call(cli, &call, &answer, err);
	}
	if (rc == 0)
		rc = call.is_async ? print_accepted(cli, &call, &answer, err)
				   : print_answer(cli, &call, &answer, err);
	http_client_answer_done(&answer);
	buf_done(&call.data);
	for (size_t i = 0; i < call.n_own; i++)
		free(call.own[i]);
	return rc == CLI_HELP ? 0 : rc;
}

/* ---- calls ---- */

struct calls {
	const char *n, *code; /* borrowed */
	bool is_failed_only;
};

static void
print_calls(const json_t *calls)
{
	static const char *const titles[] = {"ID", "FUNCTION", "VERSION", "ORIGIN", "CODE",
		"STATUS", "WALL", "CPU", "STARTED", NULL};
	struct cli_table *table = cli_table_new(titles);
	const json_t *call;
	size_t i;

	json_array_foreach (calls, i, call) {
		const char *cells[] = {cli_text(call, "id"), cli_text(call, "function"),
			cli_text(call, "version"), cli_text(call, "trigger"),
			cli_text(call, is_done(call) ? "code" : "state"), cli_text(call, "status"),
			is_done(call) ? cli_micros(number_of(call, "wall_us")) : "",
			is_done(call) ? figure_of(call, "cpu_us", cli_micros) : "",
			cli_ago(cli_text(call, "started_at"))};

		cli_table_add(table, cells);
	}
	cli_table_print(table);
}

static int
list_calls(struct cli *cli, const struct calls *calls, const char *function, struct err *err)
{
	OWN(json) json_t *answer = NULL;
	OWN(mem)
	char *function_part = function ? cli_path("&function=%s", function) : mem_printf("%s", "");
	OWN(mem)
	char *code_part = calls->code ? cli_path("&code=%s", calls->code) : mem_printf("%s", "");
	OWN(mem) char *base = cli_path("/v1/orgs/%s/calls?n=%s", cli->org, calls->n);
	OWN(mem)
	char *path = mem_printf("%s%s%s%s", base, function_part, code_part,
		calls->is_failed_only ? "&failed=true" : "");
	int rc = cli_ask(cli, "GET", path, NULL, &answer, err);

	if (rc < 0)
		return rc;
	const json_t *list = json_object_get(answer, "calls");

	if (cli->is_json)
		cli_print_json(list);
	else
		print_calls(list);
	return 0;
}

static void
print_delivery(const json_t *delivery)
{
	const json_t *attempt;
	size_t i;

	if (!delivery)
		return;
	printf("durable call %s: %s, %s attempts, origin %s, accepted %s\n",
		cli_text(delivery, "id"), cli_text(delivery, "state"),
		cli_text(delivery, "attempt_count"), cli_text(delivery, "origin"),
		cli_ago(cli_text(delivery, "created_at")));
	json_array_foreach (json_object_get(delivery, "attempts"), i, attempt)
		printf("attempt %s: %s %s\n", cli_text(attempt, "number"),
			cli_text(attempt, "code"), cli_text(attempt, "message"));
}

static int
show_call(struct cli *cli, const char *id, struct err *err)
{
	OWN(json) json_t *record = NULL;
	int rc = find_record(cli, str_of(id), &record, err);
	const json_t *line;
	size_t i;

	if (rc < 0)
		return rc;
	if (cli->is_json) {
		cli_print_json(record);
		return 0;
	}
	print_delivery(json_object_get(record, "delivery"));
	if (!is_done(record)) {
		if (json_object_get(record, "started_at"))
			printf("call %s: %s, version %s, began %s\n", id, cli_text(record, "state"),
				cli_text(record, "version"),
				cli_ago(cli_text(record, "started_at")));
		return 0;
	}
	print_figures(record, stdout);
	if (*cli_text(record, "message"))
		printf("%s\n", cli_text(record, "message"));
	json_array_foreach (json_object_get(record, "log"), i, line)
		printf("%s %s\n", cli_text(line, "s"), cli_text(line, "m"));
	return 0;
}

static int
cancel_call(struct cli *cli, const char *id, struct err *err)
{
	OWN(mem) char *path = cli_path("/v1/orgs/%s/calls/%s", cli->org, id);
	OWN(json) json_t *answer = NULL;
	int rc = cli_ask(cli, "DELETE", path, NULL, &answer, err);

	if (rc == 0 && cli->is_json)
		cli_print_json(answer);
	else if (rc == 0)
		printf("cancelled %s\n", id);
	return rc;
}

int
cmd_calls(struct cli *cli, int argc, char **argv, struct err *err)
{
	static const struct option options[] = {CLI_OPTIONS, {"failed", no_argument, NULL, 1},
		{"code", required_argument, NULL, 2}, {0}};
	struct calls calls = {.n = "20"};
	int option, rc;

	while ((option = cli_option(cli, argc, argv, "hn:", options, err)) >= 0) {
		if (option == 'n')
			calls.n = optarg;
		else if (option == 1)
			calls.is_failed_only = true;
		else
			calls.code = optarg;
	}
	if (option != CLI_END)
		return option == CLI_HELP ? 0 : option;
	rc = cli_context_fill(cli, err);
	if (rc < 0)
		return rc;
	const char *first = optind < argc ? argv[optind] : NULL;

	if (argc - optind == 2 && strcmp(first, "show") == 0)
		return show_call(cli, argv[optind + 1], err);
	if (argc - optind == 2 && strcmp(first, "cancel") == 0)
		return cancel_call(cli, argv[optind + 1], err);
	if (argc - optind > 1)
		return cli_operands(argc, argv, 1, "a function, `show ID` or `cancel ID`", err);
	return list_calls(cli, &calls, first, err);
}
