/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a first function that can be deployed as it is. */
#include <errno.h>
#include <sys/stat.h>

#include "base/id.h"
#include "base/path.h"
#include "commands.h"

const char cmd_init_help[] =
	"usage: mayfly init [--runtime RUNTIME] NAME\n\n"
	"Makes the folder NAME with a function that can be deployed as it is.\n\n"
	"  -r, --runtime R   node (default), python, exec or native\n\n"
	"  mayfly init --runtime node hello\n"
	"  mayfly deploy hello\n"
	"  mayfly call hello -d '{\"name\":\"Ada\"}'\n";

struct starter_file {
	const char *name, *text;
	mode_t mode;
};

struct starter {
	const char *runtime, *handler;
	bool is_compiled; /* with make, before it is deployed */
	struct starter_file files[3];
};

static const char node_text[] =
	"// Called with Lambda's HTTP event (payload format 2.0) at its route, or with the JSON\n"
	"// itself by `mayfly call hello -d '{\"name\":\"Ada\"}'`.\n"
	"exports.handler = async (event, context) => {\n"
	"\tconst input = (event?.requestContext ? event.queryStringParameters : event) ?? {};\n"
	"\tconsole.log(`call ${context.awsRequestId}`);\n"
	"\treturn { hello: input.name ?? 'world' };\n"
	"};\n";

static const char python_text[] =
	"# Called with Lambda's HTTP event (payload format 2.0) at its route, or with the JSON\n"
	"# itself by `mayfly call hello -d '{\"name\":\"Ada\"}'`.\n"
	"def handler(event, context):\n"
	"    event = event or {}\n"
	"    if \"requestContext\" in event:\n"
	"        event = event.get(\"queryStringParameters\") or {}\n"
	"    print(f\"call {context.aws_request_id}\")\n"
	"    return {\"hello\": event.get(\"name\", \"world\")}\n";

static const char exec_text[] = "#!/bin/sh\n"
				"# The body is on stdin, stdout is the answer, stderr the log. A\n"
				"# process for each call; MAYFLY_METHOD, MAYFLY_PATH … are set.\n"
				"echo \"call $MAYFLY_CALL_ID\" >&2\n"
				"printf 'hello, '\n"
				"cat\n";

static const char native_text[] =
	"#include <mayfly.h>\n\n"
	"static int\n"
	"hello(struct mf_request *request, struct mf_answer *answer, void *arg)\n"
	"{\n"
	"\tconst char *name = mf_query(request, \"name\");\n\n"
	"\tmf_set_header(answer, \"content-type\", \"application/json\");\n"
	"\tmf_print(answer, \"{\\\"hello\\\":\");\n"
	"\tmf_print_json(answer, name ? name : \"world\");\n"
	"\tmf_print(answer, \"}\");\n"
	"\treturn 0;\n"
	"}\n\n"
	"int\n"
	"main(void)\n"
	"{\n"
	"\treturn mf_serve(hello, NULL);\n"
	"}\n";

static const char native_make[] = "bootstrap: main.c\n"
				  "\t$(CC) -O2 -static -o $@ main.c $(CFLAGS) -lmayfly\n";

static const struct starter starters[] = {
	{"node", "index.handler", false, {{"index.js", node_text, 0644}}},
	{"python", "main.handler", false, {{"main.py", python_text, 0644}}},
	{"exec", "hello.sh", false, {{"hello.sh", exec_text, 0755}}},
	{"native", "bootstrap", true,
		{{"main.c", native_text, 0644}, {"Makefile", native_make, 0644},
			{".mayflyignore", "*.c\nMakefile\n", 0644}}},
};

static const struct starter *
starter_find(const char *runtime, struct err *err)
{
	for (size_t i = 0; i < sizeof(starters) / sizeof(*starters); i++) {
		if (strncmp(runtime, starters[i].runtime, strlen(starters[i].runtime)) == 0)
			return &starters[i];
	}
	err_field(
		err, ERR_INVALID, "runtime", "'%s' is none of node, python, exec, native", runtime);
	return NULL;
}

static int
write_file(const char *folder, const struct starter_file *file, struct err *err)
{
	OWN(mem) char *path = path_join(folder, file->name);

	return path_write(path, str_of(file->text), file->mode, err);
}

static int
write_manifest(const char *folder, const char *name, const char *runtime,
	const struct starter *starter, struct err *err)
{
	OWN(mem)
	char *text = mem_printf("{\n  \"name\": \"%s\",\n  \"runtime\": \"%s\",\n"
				"  \"handler\": \"%s\"\n}\n",
		name, runtime, starter->handler);

	return write_file(folder, &(struct starter_file){"mayfly.json", text, 0644}, err);
}

static int
write_all(const char *folder, const char *runtime, const struct starter *starter, struct err *err)
{
	const char *slash = strrchr(folder, '/'), *name = slash ? slash + 1 : folder;
	int rc = id_check_name(str_of(name), "name", err);

	if (rc < 0)
		return rc;
	if (mkdir(folder, 0755) < 0)
		return errno == EEXIST ? err_set(err, ERR_CONFLICT, "%s is there already", folder)
				       : err_sys(err, "making the folder %s", folder);
	rc = write_manifest(folder, name, runtime, starter, err);
	for (size_t i = 0; rc == 0 && i < 3 && starter->files[i].name; i++)
		rc = write_file(folder, &starter->files[i], err);
	return rc;
}

int
cmd_init(struct cli *cli, int argc, char **argv, struct err *err)
{
	static const struct option options[] = {
		CLI_OPTIONS, {"runtime", required_argument, NULL, 'r'}, {0}};
	const char *runtime = "node";
	int option;

	while ((option = cli_option(cli, argc, argv, "hr:", options, err)) == 'r')
		runtime = optarg;
	if (option != CLI_END)
		return option == CLI_HELP ? 0 : option;
	int rc = cli_operands(argc, argv, 1, "a name for the function", err);
	const struct starter *starter = rc < 0 ? NULL : starter_find(runtime, err);

	if (!starter)
		return ERR_INVALID;
	const char *folder = argv[optind];

	rc = write_all(folder, runtime, starter, err);
	if (rc < 0)
		return rc;
	if (cli->is_json) {
		OWN(json)
		json_t *answer = json_pack("{s:s,s:s}", "folder", folder, "runtime", runtime);

		cli_print_json(answer);
		return 0;
	}
	printf("made %s/ (%s). Next:\n", folder, runtime);
	if (starter->is_compiled)
		printf("  make -C %s        # compiles bootstrap\n", folder);
	printf("  mayfly deploy %s\n", folder);
	return 0;
}
