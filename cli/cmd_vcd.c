/* SPDX-License-Identifier: Apache-2.0 */
/* vcd: the extension service of vCloud Director that leads requests to mayfly. */
#include "cell_filter.h"
#include "cell_register.h"
#include "commands.h"

const char cmd_vcd_help[] =
	"usage: mayfly vcd register [options]\n"
	"       mayfly vcd status [options]\n"
	"       mayfly vcd unregister [options]\n\n"
	"Makes paths of vCloud Director's API lead to functions: an extension service with a "
	"filter\n"
	"for each function. Registering again adds what is missing and says what is there.\n\n"
	"      --url URL            vCloud Director: https://vcd.example\n"
	"      --user USER@ORG      a system administrator: administrator@System\n"
	"      --password-file F    else $MAYFLY_VCD_PASSWORD, or the terminal asks\n"
	"      --ca FILE            the authority of its certificate (PEM), else the system's\n"
	"      --version V          of its API: 36.3; default what it offers, 38 at most\n"
	"      --namespace NAME     by which the service is known (default org.mayfly.faas)\n"
	"      --name NAME          of the service (default mayfly)\n"
	"register\n"
	"      --function ORG/ROUTE a function to lead to, * for any org; repeatable\n"
	"      --functions          all functions of --org, as the daemon lists them\n"
	"      --filter REGEX       a path as a regular expression of Java's; repeatable\n"
	"      --prune              remove the filters that are not named\n"
	"      --exchange NAME      the daemon's vcd_exchange (default vcdext); must be there, "
	"direct\n"
	"      --routing-key KEY    the daemon's vcd_routing_key (default mayfly)\n"
	"      --priority N         among services, 0 to 100, 100 first (default 50)\n"
	"      --authorization      let vCloud Director check rights (needs resource classes)\n\n"
	"  mayfly vcd register --url https://vcd.example --user administrator@System \\\n"
	"      --function pscoe/hello\n\n"
	"A filter that fits /api/org/{id} takes that from vCloud Director itself; --function "
	"makes\n"
	"none such. For --functions the daemon is the one of $MAYFLY_URL and $MAYFLY_TOKEN.\n";

struct vcd {
	struct cell_wish cell;
	struct cell_service service;
	json_t *patterns; /* owned: of --filter and --function */
	enum cell_register_flags flags;
	bool is_functions;
};

static void
own_vcd(struct vcd *vcd)
{
	json_decref(vcd->patterns);
}

/* ---- which filters ---- */

static void
add_pattern(json_t *patterns, const char *pattern)
{
	const json_t *known;
	size_t i;

	json_array_foreach (patterns, i, known)
		if (strcmp(json_string_value(known), pattern) == 0)
			return;
	json_array_append_new(patterns, json_string(pattern));
}

static int
take_filter(struct vcd *vcd, const char *pattern, struct err *err)
{
	int rc = cell_filter_check(pattern, err);

	if (rc == 0)
		add_pattern(vcd->patterns, pattern);
	return rc;
}

static int
take_function(struct vcd *vcd, const char *function, struct err *err)
{
	OWN(mem) char *pattern = NULL;
	int rc = cell_filter_of(function, &pattern, err);

	if (rc == 0)
		add_pattern(vcd->patterns, pattern);
	return rc;
}

/* vCloud Director may call the org by name, UUID or URN, so they are taken for any org. */
static int
take_functions(struct cli *cli, struct vcd *vcd, struct err *err)
{
	OWN(json) json_t *answer = NULL;
	const json_t *function;
	size_t i;
	int rc = cli_context_fill(cli, err);

	if (rc < 0)
		return rc;
	OWN(mem) char *path = cli_path("/v1/orgs/%s/functions", cli->org);

	rc = cli_ask(cli, "GET", path, NULL, &answer, err);
	if (rc < 0)
		return rc;
	json_array_foreach (json_object_get(answer, "functions"), i, function) {
		OWN(mem) char *name = mem_printf("*/%s", cli_text(function, "route"));
		struct err why = {0};

		if (take_function(vcd, name, &why) < 0)
			fprintf(stderr, "%s is left out: %s\n", cli_text(function, "name"),
				why.text);
	}
	return 0;
}

/* ---- what is printed ---- */

static json_t *
describe(const struct cell_service *service)
{
	return json_pack("{s:s,s:s,s:b,s:b,s:s,s:s,s:i}", "name", service->name, "namespace",
		service->namespace, "enabled", service->is_enabled, "authorization",
		service->is_authorized, "exchange", service->exchange, "routing_key",
		service->routing_key, "priority", (int)service->priority);
}

static void
print_service(const struct cell_service *service)
{
	printf("%s (%s): %s%s, exchange %s, routing key %s, priority %u\n", service->name,
		service->namespace, service->is_enabled ? "enabled" : "disabled",
		service->is_authorized ? ", authorization" : "", service->exchange,
		service->routing_key, service->priority);
}

/* What became of filters: `key` in the document, `word` in the text. */
static void
print_filters(const json_t *document, const char *key, const char *word)
{
	const json_t *pattern;
	size_t i;

	json_array_foreach (json_object_get(document, key), i, pattern)
		printf("filter %s%s\n", json_string_value(pattern), word);
}

static void
print_registered(const struct cli *cli, const struct vcd *vcd, const json_t *document)
{
	const json_t *change;
	size_t i;

	if (cli->is_json) {
		cli_print_json(document);
		return;
	}
	if (json_is_true(json_object_get(document, "created")))
		printf("registered ");
	print_service(&vcd->service);
	json_array_foreach (json_object_get(document, "changed"), i, change)
		printf("changed %s\n", json_string_value(change));
	print_filters(document, "added", ": added");
	print_filters(document, "there", ": there already");
	print_filters(document, "removed", ": removed");
	print_filters(document, "kept", ": kept, not named; --prune removes it");
}

/* ---- register, status, unregister ---- */

static int
vcd_register(struct cli *cli, struct vcd *vcd, struct err *err)
{
	OWN(json) json_t *document = describe(&vcd->service);
	OWN(cell) struct cell *cell = NULL;
	int rc = vcd->is_functions ? take_functions(cli, vcd, err) : 0;

	if (rc == 0 && !json_array_size(vcd->patterns))
		rc = err_set(err, ERR_INVALID,
			"nothing leads to a function: --function, --functions or --filter");
	if (rc == 0)
		rc = cell_open(&vcd->cell, &cell, err);
	if (rc == 0)
		rc = cell_register(cell, &vcd->service, vcd->patterns, vcd->flags, document, err);
	if (rc == 0)
		print_registered(cli, vcd, document);
	return rc;
}

static int
find(const struct vcd *vcd, struct cell **ret_cell, json_t **ret, struct err *err)
{
	int rc = cell_open(&vcd->cell, ret_cell, err);

	if (rc == 0)
		rc = cell_service_find(*ret_cell, vcd->service.namespace, ret, err);
	if (rc == 0 && !*ret)
		rc = err_set(err, ERR_NOT_FOUND, "no service has the namespace %s",
			vcd->service.namespace);
	return rc;
}

static int
vcd_status(struct cli *cli, const struct vcd *vcd, struct err *err)
{
	OWN(cell) struct cell *cell = NULL;
	OWN(json) json_t *record = NULL, *filters = NULL, *document = NULL;
	const json_t *filter;
	size_t i;
	int rc = find(vcd, &cell, &record, err);

	if (rc == 0)
		rc = cell_service_filters(cell, record, &filters, err);
	if (rc < 0)
		return rc;
	const struct cell_service service = cell_service_of(record);
	json_t *patterns = json_array();

	document = describe(&service);
	json_object_set_new(document, "filters", patterns);
	json_array_foreach (filters, i, filter)
		json_array_append_new(patterns, json_string(cli_text(filter, "urlPattern")));
	if (cli->is_json) {
		cli_print_json(document);
		return 0;
	}
	print_service(&service);
	print_filters(document, "filters", "");
	return 0;
}

static int
vcd_unregister(struct cli *cli, const struct vcd *vcd, struct err *err)
{
	OWN(cell) struct cell *cell = NULL;
	OWN(json) json_t *record = NULL;
	int rc = find(vcd, &cell, &record, err);

	if (rc == 0)
		rc = cell_register_check_ours(&vcd->service, record, err);
	if (rc < 0)
		return rc;
	struct cell_service service = cell_service_of(record);

	/* One that is enabled cannot be deleted. */
	if (service.is_enabled) {
		service.is_enabled = false;
		rc = cell_service_change(cell, record, &service, err);
	}
	if (rc == 0)
		rc = cell_service_delete(cell, record, err);
	if (rc == 0 && cli->is_json)
		printf("{\"unregistered\": true}\n");
	else if (rc == 0)
		printf("unregistered %s (%s)\n", service.name, service.namespace);
	return rc;
}

/* ---- the command line ---- */

enum {
	VCD_URL = 1,
	VCD_USER,
	VCD_PASSWORD,
	VCD_CA,
	VCD_VERSION,
	VCD_NAMESPACE,
	VCD_NAME,
	VCD_FUNCTION,
	VCD_FUNCTIONS,
	VCD_FILTER,
	VCD_PRUNE,
	VCD_EXCHANGE,
	VCD_ROUTING_KEY,
	VCD_PRIORITY,
	VCD_AUTHORIZATION,
};

/* --url is vCloud Director's here, not the daemon's. */
static const struct option vcd_options[] = {
	{"url", required_argument, NULL, VCD_URL},
	{"org", required_argument, NULL, 1002},
	{"token-file", required_argument, NULL, 1003},
	{"json", no_argument, NULL, 1004},
	{"help", no_argument, NULL, 'h'},
	{"user", required_argument, NULL, VCD_USER},
	{"password-file", required_argument, NULL, VCD_PASSWORD},
	{"ca", required_argument, NULL, VCD_CA},
	{"version", required_argument, NULL, VCD_VERSION},
	{"namespace", required_argument, NULL, VCD_NAMESPACE},
	{"name", required_argument, NULL, VCD_NAME},
	{"function", required_argument, NULL, VCD_FUNCTION},
	{"functions", no_argument, NULL, VCD_FUNCTIONS},
	{"filter", required_argument, NULL, VCD_FILTER},
	{"prune", no_argument, NULL, VCD_PRUNE},
	{"exchange", required_argument, NULL, VCD_EXCHANGE},
	{"routing-key", required_argument, NULL, VCD_ROUTING_KEY},
	{"priority", required_argument, NULL, VCD_PRIORITY},
	{"authorization", no_argument, NULL, VCD_AUTHORIZATION},
	{0},
};

static int
take_priority(struct vcd *vcd, const char *text, struct err *err)
{
	uint64_t priority;

	if (!str_to_u64(str_of(text), &priority) || priority > 100)
		return err_field(err, ERR_INVALID, "--priority", "is 0 to 100");
	vcd->service.priority = (unsigned)priority;
	return 0;
}

/* Where the text of an option goes; NULL for one that is more than a text. */
static const char **
text_option(struct vcd *vcd, int option)
{
	switch (option) {
	case VCD_URL:
		return &vcd->cell.url;
	case VCD_USER:
		return &vcd->cell.user;
	case VCD_PASSWORD:
		return &vcd->cell.password_file;
	case VCD_CA:
		return &vcd->cell.ca_file;
	case VCD_VERSION:
		return &vcd->cell.version;
	case VCD_NAMESPACE:
		return &vcd->service.namespace;
	case VCD_NAME:
		return &vcd->service.name;
	case VCD_EXCHANGE:
		return &vcd->service.exchange;
	case VCD_ROUTING_KEY:
		return &vcd->service.routing_key;
	}
	return NULL;
}

static int
take_option(struct vcd *vcd, int option, struct err *err)
{
	const char **text = text_option(vcd, option);

	if (text)
		*text = optarg;
	else if (option == VCD_FUNCTION)
		return take_function(vcd, optarg, err);
	else if (option == VCD_FILTER)
		return take_filter(vcd, optarg, err);
	else if (option == VCD_PRIORITY)
		return take_priority(vcd, optarg, err);
	else if (option == VCD_FUNCTIONS)
		vcd->is_functions = true;
	else if (option == VCD_PRUNE)
		vcd->flags = CELL_REGISTER_PRUNE;
	else if (option == VCD_AUTHORIZATION)
		vcd->service.is_authorized = true;
	return 0;
}

int
cmd_vcd(struct cli *cli, int argc, char **argv, struct err *err)
{
	OWN(vcd)
	struct vcd vcd = {.service = {.name = "mayfly",
				  .namespace = "org.mayfly.faas",
				  .exchange = "vcdext",
				  .routing_key = "mayfly",
				  .priority = 50,
				  .is_enabled = true},
		.patterns = json_array()};
	int option, rc = 0;

	while (rc == 0 && (option = cli_option(cli, argc, argv, "h", vcd_options, err)) >= 0)
		rc = take_option(&vcd, option, err);
	if (rc < 0)
		return rc;
	if (option != CLI_END)
		return option == CLI_HELP ? 0 : option;
	const char *verb = argc - optind == 1 ? argv[optind] : "";

	rc = cell_service_check(&vcd.service, err);
	if (rc < 0)
		return rc;
	if (strcmp(verb, "register") == 0)
		return vcd_register(cli, &vcd, err);
	if (strcmp(verb, "status") == 0)
		return vcd_status(cli, &vcd, err);
	if (strcmp(verb, "unregister") == 0)
		return vcd_unregister(cli, &vcd, err);
	return cli_operands(argc, argv, -1, "register, status or unregister", err);
}
