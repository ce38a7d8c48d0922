/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config.h"

#include <string.h>

/* A bound in the unit that divides it evenly. */
static void
config_help_bound(const struct config_key *key, uint64_t bound, char *ret, size_t size)
{
	static const struct {
		enum config_kind kind;
		uint64_t each;
		const char *unit;
	} units[] = {{CONFIG_SIZE, 1ull << 30, "GiB"}, {CONFIG_SIZE, 1ull << 20, "MiB"},
		{CONFIG_SIZE, 1ull << 10, "KiB"}, {CONFIG_DURATION, 86400000, "d"},
		{CONFIG_DURATION, 3600000, "h"}, {CONFIG_DURATION, 60000, "m"},
		{CONFIG_DURATION, 1000, "s"}, {CONFIG_DURATION, 1, "ms"}};

	snprintf(ret, size, "%llu", (unsigned long long)bound);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (units[i].kind != key->kind || bound % units[i].each != 0 ||
			(bound == 0 && units[i].each > 1))
			continue;
		snprintf(ret, size, "%llu%s", (unsigned long long)(bound / units[i].each),
			units[i].unit);
		return;
	}
}

static bool
config_help_has_range(const struct config_key *key)
{
	return key->kind == CONFIG_NUMBER || key->kind == CONFIG_SIZE ||
	       key->kind == CONFIG_DURATION;
}

static void
config_help_key(const struct config_key *key, FILE *out)
{
	char flag[64], low[32], high[32];
	size_t len = 0;

	config_help_bound(key, key->min, low, sizeof(low));
	config_help_bound(key, key->max, high, sizeof(high));

	for (; key->name[len] && len + 1 < sizeof(flag); len++)
		flag[len] = (char)(key->name[len] == '_' ? '-' : key->name[len]);
	flag[len] = 0;
	fprintf(out, "  --%-28s %s\n", flag, key->text);
	if (key->kind == CONFIG_CHOICE)
		fprintf(out, "  %-30s default %s, one of: %s\n", "", key->value, key->choices);
	else if (config_help_has_range(key))
		fprintf(out, "  %-30s default %s, %s to %s\n", "", key->value, low, high);
	else
		fprintf(out, "  %-30s default %s%s\n", "", key->value[0] ? key->value : "none",
			key->kind == CONFIG_LIST ? "; may be repeated" : "");
}

void
config_help(FILE *out)
{
	const struct config_key *key;
	const char *section = "";

	fputs("usage: mayfly-daemon [--config FILE] [--KEY VALUE]...\n"
	      "       mayfly-daemon --doctor [--json]\n\n"
	      "Runs mayfly: functions answer at http://ADDRESS/api/org/ORG/ROUTE, the control "
	      "plane\n"
	      "at /v1 (described by /openapi.yaml). Started as root it makes the sandboxes' root\n"
	      "file systems, starts mayfly-spawner and then gives up every privilege. SIGTERM and\n"
	      "SIGINT stop it when the calls in flight are answered, a second one at once; SIGHUP\n"
	      "reads the TLS certificate again.\n\n"
	      "  --config FILE                  settings, `key = value` (" CONFIG_FILE ")\n"
	      "  --check                        judge the settings, then exit\n"
	      "  --ready-fd FD                  write a line with the addresses there when ready\n"
	      "  --doctor                       what this machine allows; 1 if something needed "
	      "is\n"
	      "                                 missing\n"
	      "  --json                         with --doctor: as JSON\n"
	      "  --version, --help\n\n"
	      "A setting is a flag (--data-dir /srv), a variable (MAYFLY_DATA_DIR=/srv) or a line "
	      "of\n"
	      "the file (data_dir = /srv); the first of these counts. Sizes: 512, 64KiB, 10MiB,\n"
	      "1GiB. Durations: 250ms, 30s, 5m, 2h, 1d.\n",
		out);
	for (size_t i = 0; (key = config_each(i)); i++) {
		if (strcmp(section, key->section) != 0)
			fprintf(out, "\n%s\n", section = key->section);
		config_help_key(key, out);
	}
}
