/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config.h"

#include <string.h>

static void
config_help_key(const struct config_key *key, FILE *out)
{
	char flag[64];
	size_t len = 0;

	for (; key->name[len] && len + 1 < sizeof(flag); len++)
		flag[len] = (char)(key->name[len] == '_' ? '-' : key->name[len]);
	flag[len] = 0;
	fprintf(out, "  --%-28s %s\n", flag, key->text);
	if (key->kind == CONFIG_CHOICE)
		fprintf(out, "  %-30s default %s, one of: %s\n", "", key->value, key->choices);
	else if (key->kind == CONFIG_NUMBER)
		fprintf(out, "  %-30s default %s, %llu to %llu\n", "", key->value,
			(unsigned long long)key->min, (unsigned long long)key->max);
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
