/* SPDX-License-Identifier: Apache-2.0 */
/* deploy: read the manifest and the flags, upload the source, put the function, wait for it. */
#include <sys/stat.h>

#include "base/path.h"
#include "commands.h"
#include "package.h"

const char cmd_deploy_help[] =
	"usage: mayfly deploy [options] SOURCE\n\n"
	"Creates the function, or a new version of it; calls in flight finish on the old version "
	"and\n"
	"new ones go to the new one once it is ready. SOURCE is a folder, a zip, a tar.gz, or one\n"
	"source file. A folder's mayfly.json holds the same members as the REST body: name, "
	"runtime,\n"
	"handler, route, limits, environment, concurrency …; flags win over it. Dependencies "
	"named\n"
	"in package.json or requirements.txt are installed in a sandbox.\n\n"
	"  -n, --name NAME        default: from mayfly.json, else the name of SOURCE\n"
	"  -r, --runtime RUNTIME  node, node20, python, python3.11, exec, native; default: "
	"guessed\n"
	"  -H, --handler HANDLER  index.handler, main.handler, a program in the folder\n"
	"      --route ROUTE      answers at /api/org/ORG/ROUTE; default: the name\n"
	"  -l, --limit KEY=N      memory_mib, timeout_ms, cpu_ms, processes …; repeatable\n"
	"  -e, --env KEY=VALUE    environment variable; repeatable\n"
	"      --env-file FILE    lines of KEY=VALUE\n"
	"      --isolation WHAT   call (default): every call begins anew; instance: calls share "
	"it\n"
	"      --mechanism HOW    auto (default), rollback, fork, once: how isolation call is "
	"kept\n"
	"  -c, --concurrency N    calls at once in one instance, with isolation instance "
	"(default 1)\n"
	"      --min-instances N  instances that are kept ready (default 0)\n"
	"      --max-instances N  most instances at one time\n"
	"      --network WHAT     none (default), or egress: what --allow lists can be reached\n"
	"      --allow DEST       host, *.domain, address or range, with :PORT or for 443 and "
	"80;\n"
	"                         repeatable, means --network egress\n"
	"      --no-wait          do not wait until it is ready\n"
	"      --timeout SECONDS  wait at most so long (default 600)\n\n"
	"  mayfly deploy hello\n"
	"  mayfly deploy --runtime python --limit memory_mib=512 --env MODE=fast job.py\n"
	"  mayfly deploy --allow api.example.com --allow 10.1.0.0/16:5432 job.py\n"
	"  mayfly deploy --isolation instance --concurrency 8 hello\n";

#define WAIT_S_DEFAULT 600
#define MANIFEST_MAX   (256 * 1024)

struct deploy {
	struct cli *cli;    /* borrowed */
	const char *source; /* borrowed */
	bool is_folder;
	json_t *body; /* owned: what is put */
	bool is_waiting;
	unsigned wait_s;
	uint32_t version; /* that the daemon gave */
};

/* ---- flags and manifest ---- */

static int
set_pair(json_t *body, const char *member, const char *pair, bool is_number, struct err *err)
{
	const char *equals = strchr(pair, '=');
	json_t *object = json_object_get(body, member);
	uint64_t number;

	if (!equals || equals == pair)
		return err_field(err, ERR_INVALID, member, "'%s' is not KEY=VALUE", pair);
	OWN(mem) char *key = str_dup(str_n(pair, (size_t)(equals - pair)));

	if (!object) {
		object = json_object();
		json_object_set_new(body, member, object);
	}
	if (!is_number)
		return json_object_set_new(object, key, json_string(equals + 1)) < 0
			       ? err_field(err, ERR_INVALID, member, "the value of %s is not UTF-8",
					 key)
			       : 0;
	if (!str_to_u64(str_of(equals + 1), &number))
		return err_field(err, ERR_INVALID, member, "%s must be a whole number", key);
	json_object_set_new(object, key, json_integer((json_int_t)number));
	return 0;
}

static int
set_env_file(json_t *body, const char *path, struct err *err)
{
	OWN(buf) struct buf text = BUF_INIT;
	int rc = path_read(path, MANIFEST_MAX, &text, err);
	struct str rest = buf_str(&text);

	while (rc == 0 && rest.len) {
		struct str line = str_trim(str_cut(&rest, '\n'));
		OWN(mem) char *pair = str_dup(line);

		if (line.len && line.at[0] != '#')
			rc = set_pair(body, "environment", pair, false, err);
	}
	return rc;
}

static int
set_number(json_t *body, const char *member, const char *text, struct err *err)
{
	uint64_t number;

	if (!str_to_u64(str_of(text), &number))
		return err_field(err, ERR_INVALID, member, "'%s' is not a whole number", text);
	json_object_set_new(body, member, json_integer((json_int_t)number));
	return 0;
}

static json_t *
get_network(json_t *body)
{
	json_t *network = json_object_get(body, "network");

	if (network)
		return network;
	network = json_object();
	json_object_set_new(body, "network", network);
	return network;
}

static int
add_destination(json_t *body, const char *text, struct err *err)
{
	json_t *network = get_network(body), *allow = json_object_get(network, "allow");
	json_t *entry = json_string(text);

	if (!entry)
		return err_field(err, ERR_INVALID, "network.allow", "'%s' is not UTF-8", text);
	if (!allow) {
		allow = json_array();
		json_object_set_new(network, "allow", allow);
	}
	json_object_set_new(network, "mode", json_string("egress"));
	return json_array_append_new(allow, entry);
}

static int
set_wait(struct deploy *deploy, const char *text, struct err *err)
{
	uint64_t seconds;

	if (!str_to_u64(str_of(text), &seconds) || seconds > 86400)
		return err_field(
			err, ERR_INVALID, "timeout", "'%s' is not a number of seconds", text);
	deploy->wait_s = (unsigned)seconds;
	return 0;
}

static const struct option deploy_options[] = {CLI_OPTIONS, {"name", required_argument, NULL, 'n'},
	{"runtime", required_argument, NULL, 'r'}, {"handler", required_argument, NULL, 'H'},
	{"route", required_argument, NULL, 1}, {"limit", required_argument, NULL, 'l'},
	{"env", required_argument, NULL, 'e'}, {"env-file", required_argument, NULL, 2},
	{"concurrency", required_argument, NULL, 'c'},
	{"max-instances", required_argument, NULL, 3}, {"no-wait", no_argument, NULL, 4},
	{"timeout", required_argument, NULL, 5}, {"isolation", required_argument, NULL, 6},
	{"mechanism", required_argument, NULL, 7}, {"min-instances", required_argument, NULL, 8},
	{"network", required_argument, NULL, 9}, {"allow", required_argument, NULL, 10}, {0}};

static int
take_flag(struct deploy *deploy, json_t *flags, int option, struct err *err)
{
	switch (option) {
	case 'n':
		return json_object_set_new(flags, "name", json_string(optarg));
	case 'r':
		return json_object_set_new(flags, "runtime", json_string(optarg));
	case 'H':
		return json_object_set_new(flags, "handler", json_string(optarg));
	case 1:
		return json_object_set_new(flags, "route", json_string(optarg));
	case 'l':
		return set_pair(flags, "limits", optarg, true, err);
	case 'e':
		return set_pair(flags, "environment", optarg, false, err);
	case 2:
		return set_env_file(flags, optarg, err);
	case 'c':
		return set_number(flags, "concurrency", optarg, err);
	case 3:
		return set_number(flags, "max_instances", optarg, err);
	case 4:
		deploy->is_waiting = false;
		return 0;
	case 6:
		return json_object_set_new(flags, "isolation", json_string(optarg));
	case 7:
		return json_object_set_new(flags, "mechanism", json_string(optarg));
	case 8:
		return set_number(flags, "min_instances", optarg, err);
	case 9:
		return json_object_set_new(get_network(flags), "mode", json_string(optarg));
	case 10:
		return add_destination(flags, optarg, err);
	default:
		return set_wait(deploy, optarg, err);
	}
}

static int
read_manifest(struct deploy *deploy, struct err *err)
{
	OWN(mem) char *path = path_join(deploy->source, "mayfly.json");
	OWN(buf) struct buf text = BUF_INIT;

	if (!deploy->is_folder || access(path, F_OK) < 0) {
		deploy->body = json_object();
		return 0;
	}
	int rc = path_read(path, MANIFEST_MAX, &text, err);

	if (rc == 0)
		rc = json_parse(buf_str(&text), &deploy->body, err);
	if (rc == 0 && !json_is_object(deploy->body))
		rc = err_set(err, ERR_INVALID, "it must be a JSON object");
	return rc < 0 ? err_wrap(err, rc, "%s", path) : 0;
}

/* Flags win; limits, environment and network are merged member by member. A network that a flag
 * shuts loses what the manifest lists. */
static void
merge_flags(json_t *body, json_t *flags)
{
	const char *key;
	json_t *value;

	json_object_foreach (flags, key, value) {
		json_t *old = json_object_get(body, key);

		if (json_is_object(old) && json_is_object(value))
			json_object_update(old, value);
		else
			json_object_set(body, key, value);
	}
	value = json_object_get(flags, "network");
	if (value && strcmp(cli_text(value, "mode"), "none") == 0)
		json_object_del(json_object_get(body, "network"), "allow");
}

/* ---- guesses, where neither says it ---- */

static bool
has_file(const struct deploy *deploy, const char *name)
{
	OWN(mem) char *path = path_join(deploy->source, name);

	return deploy->is_folder && access(path, F_OK) == 0;
}

static const char *
guess_runtime(const struct deploy *deploy)
{
	static const struct {
		const char *ending, *file, *runtime;
	} rules[] = {{".js", "package.json", "node"}, {".mjs", "index.js", "node"},
		{".cjs", "index.mjs", "node"}, {".py", "main.py", "python"},
		{".py", "requirements.txt", "python"}, {".sh", "hello.sh", "exec"},
		{NULL, "bootstrap", "native"}};

	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
		if (deploy->is_folder ? has_file(deploy, rules[i].file)
				      : rules[i].ending && str_ends(str_of(deploy->source),
								   str_of(rules[i].ending)))
			return rules[i].runtime;
	}
	return NULL;
}

static int
fill_name(struct deploy *deploy, struct err *err)
{
	OWN(mem) char *real = realpath(deploy->source, NULL);
	const char *slash = real ? strrchr(real, '/') : NULL;

	if (json_object_get(deploy->body, "name"))
		return 0;
	if (!slash)
		return err_sys(err, "looking at %s", deploy->source);
	size_t len = deploy->is_folder ? strlen(slash + 1) : strcspn(slash + 1, ".");

	json_object_set_new(deploy->body, "name", json_stringn(slash + 1, len));
	return 0;
}

static int
fill_gaps(struct deploy *deploy, struct err *err)
{
	int rc = fill_name(deploy, err);

	if (rc < 0 || json_object_get(deploy->body, "runtime"))
		return rc;
	const char *runtime = guess_runtime(deploy);

	if (!runtime)
		return err_field(err, ERR_INVALID, "runtime",
			"cannot be guessed from %s: say --runtime", deploy->source);
	json_object_set_new(deploy->body, "runtime", json_string(runtime));
	return 0;
}

/* ---- the source ---- */

static void
on_progress(size_t sent, size_t total, void *arg)
{
	if (total > 1024 * 1024 && cli_is_terminal())
		cli_progress("uploading %zu %%", sent * 100 / total);
}

static bool
is_archive(const char *path)
{
	return str_ends(str_of(path), STR(".zip")) || str_ends(str_of(path), STR(".tar.gz")) ||
	       str_ends(str_of(path), STR(".tgz")) || str_ends(str_of(path), STR(".tar"));
}

static int
open_source(struct deploy *deploy, FILE **ret, struct err *err)
{
	*ret = deploy->is_folder ? tmpfile() : fopen(deploy->source, "re");
	if (!*ret)
		return err_sys(err, "opening %s", deploy->source);
	return deploy->is_folder ? package_folder(deploy->source, *ret, err) : 0;
}

static int
upload_source(struct deploy *deploy, struct err *err)
{
	static const char *const headers[] = {"Content-Type: application/octet-stream", NULL};
	OWN(file) FILE *source = NULL;
	struct http_client_answer answer = {0};
	struct http_client *client = NULL;
	struct stat st;
	int rc = open_source(deploy, &source, err);

	if (rc == 0)
		rc = cli_client(deploy->cli, &client, err);
	if (rc < 0)
		return rc;
	if (fstat(fileno(source), &st) < 0)
		return err_sys(err, "looking at %s", deploy->source);
	OWN(mem) char *path = cli_path("/v1/orgs/%s/code", deploy->cli->org);

	rc = http_client_upload(client, "POST", path, headers, source, (size_t)st.st_size,
		on_progress, NULL, &answer, err);
	if (rc == 0 && answer.status >= 400)
		rc = cli_error(answer.status, buf_str(&answer.body), err);
	if (rc == 0) {
		OWN(json) json_t *document = NULL;
		json_t *code = json_object();

		rc = json_parse(buf_str(&answer.body), &document, err);
		json_object_set(code, "digest", json_object_get(document, "digest"));
		if (!deploy->is_folder && !is_archive(deploy->source)) {
			const char *slash = strrchr(deploy->source, '/');

			json_object_set_new(
				code, "filename", json_string(slash ? slash + 1 : deploy->source));
		}
		json_object_set_new(deploy->body, "code", code);
	}
	http_client_answer_done(&answer);
	return rc;
}

/* ---- waiting ---- */

static bool
is_settled(const char *state)
{
	return strcmp(state, "initializing") != 0 && strcmp(state, "updating") != 0;
}

/* The daemon holds each request until the state changes or some seconds passed. */
static int
wait_settled(struct deploy *deploy, json_t **ret, struct err *err)
{
	const char *name = json_string_value(json_object_get(deploy->body, "name"));
	OWN(mem)
	char *path =
		cli_path("/v1/orgs/%s/functions/%s?wait=5s&for=settled", deploy->cli->org, name);

	for (unsigned waited = 0;; waited += 5) {
		json_decref(*ret);
		*ret = NULL;
		int rc = cli_ask(deploy->cli, "GET", path, NULL, ret, err);

		if (rc < 0 || is_settled(cli_text(*ret, "state")))
			return rc;
		if (waited >= deploy->wait_s)
			return err_set(err, ERR_TIMEOUT,
				"%s is still %s after %u s; mayfly show %s tells how it ends", name,
				cli_text(*ret, "state"), waited, name);
		cli_progress("%s … %u s", cli_text(*ret, "state"), waited + 5);
	}
}

static int
find_version(struct deploy *deploy, json_t **ret, struct err *err)
{
	const char *name = json_string_value(json_object_get(deploy->body, "name"));
	OWN(mem) char *number = mem_printf("%u", deploy->version);
	OWN(mem)
	char *path =
		cli_path("/v1/orgs/%s/functions/%s/versions/%s", deploy->cli->org, name, number);

	return cli_ask(deploy->cli, "GET", path, NULL, ret, err);
}

static int
report(struct deploy *deploy, const json_t *function, struct err *err)
{
	OWN(json) json_t *version = NULL;
	int rc = find_version(deploy, &version, err);

	if (rc < 0)
		return rc;
	const char *name = cli_text(function, "name");

	if (strcmp(cli_text(version, "state"), "failed") == 0) {
		cli_progress_end();
		if (*cli_text(version, "build_log"))
			fprintf(stderr, "%s\n", cli_text(version, "build_log"));
		return err_set(err, ERR_FUNCTION_FAILED, "version %u of %s failed: %s",
			deploy->version, name, cli_text(version, "reason"));
	}
	if (deploy->cli->is_json) {
		cli_print_json(function);
		return 0;
	}
	printf("%s is %s: version %u, %s\n%s/api/org/%s/%s\n", name, cli_text(function, "state"),
		deploy->version, cli_text(version, "runtime"), deploy->cli->url, deploy->cli->org,
		cli_text(function, "route"));
	return 0;
}

static int
put_function(struct deploy *deploy, struct err *err)
{
	OWN(json) json_t *function = NULL;
	OWN(mem)
	char *path = cli_path("/v1/orgs/%s/functions/%s", deploy->cli->org,
		json_string_value(json_object_get(deploy->body, "name")));
	int rc = cli_ask(deploy->cli, "PUT", path, deploy->body, &function, err);

	if (rc < 0)
		return rc;
	deploy->version = (uint32_t)json_integer_value(json_object_get(function, "last_version"));
	if (deploy->is_waiting) {
		rc = wait_settled(deploy, &function, err);
		return rc < 0 ? rc : report(deploy, function, err);
	}
	if (deploy->cli->is_json)
		cli_print_json(function);
	else
		printf("%s is %s: version %u\n", cli_text(function, "name"),
			cli_text(function, "state"), deploy->version);
	return 0;
}

static int
deploy_run(struct deploy *deploy, json_t *flags, struct err *err)
{
	struct stat st;

	if (stat(deploy->source, &st) < 0)
		return err_sys(err, "looking at %s", deploy->source);
	deploy->is_folder = S_ISDIR(st.st_mode);
	int rc = read_manifest(deploy, err);

	if (rc < 0)
		return rc;
	merge_flags(deploy->body, flags);
	rc = fill_gaps(deploy, err);
	if (rc == 0 && !json_is_string(json_object_get(deploy->body, "name")))
		rc = err_field(err, ERR_INVALID, "name", "must be a string");
	if (rc == 0)
		rc = upload_source(deploy, err);
	return rc < 0 ? rc : put_function(deploy, err);
}

int
cmd_deploy(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct deploy deploy = {.cli = cli, .is_waiting = true, .wait_s = WAIT_S_DEFAULT};
	OWN(json) json_t *flags = json_object();
	int option, rc = 0;

	while (rc == 0 &&
		(option = cli_option(cli, argc, argv, "hn:r:H:l:e:c:", deploy_options, err)) >= 0)
		rc = take_flag(&deploy, flags, option, err);
	if (rc < 0 || option != CLI_END)
		return rc < 0 ? rc : option == CLI_HELP ? 0 : option;
	rc = cli_operands(argc, argv, 1, "a folder, an archive or a source file", err);
	if (rc == 0)
		rc = cli_context_fill(cli, err);
	if (rc < 0)
		return rc;
	deploy.source = argv[optind];
	rc = deploy_run(&deploy, flags, err);
	json_decref(deploy.body);
	return rc;
}
