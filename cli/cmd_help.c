/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

const char cmd_help_help[] = "usage: mayfly help [COMMAND]\n";

void
cmd_help_print(void)
{
	const char *group = "";

	printf("mayfly - functions as a service, a sandbox for every one\n\n"
	       "usage: mayfly COMMAND [options]      mayfly COMMAND --help teaches each\n");
	for (const struct cli_command *command = cli_commands; command->name; command++) {
		if (strcmp(group, command->group) != 0)
			printf("\n%s\n", group = command->group);
		printf("  %-12s %s\n", command->name, command->summary);
	}
	printf("\nOptions of every command that talks to a daemon\n"
	       "  --url URL           the daemon           ($MAYFLY_URL, http://127.0.0.1:8080)\n"
	       "  --org ORG           the organisation     ($MAYFLY_ORG, default)\n"
	       "  --token-file FILE   the token            ($MAYFLY_TOKEN; on the daemon's own\n"
	       "                      machine its bootstrap token, where you may read it)\n"
	       "  --json              one JSON document on stdout\n"
	       "Lines of ~/.config/mayfly/client.conf (url = …, org = …, token = …) set them "
	       "too.\n\n"
	       "Exit status: 0 done, 1 failed, 2 wrong use, 3 not allowed, 4 not found, 5 "
	       "conflict,\n"
	       "6 try later, 7 the function failed.\n");
}

int
cmd_help(struct cli *cli, int argc, char **argv, struct err *err)
{
	if (argc < 2 || argv[1][0] == '-') {
		cmd_help_print();
		return 0;
	}
	const struct cli_command *command = cli_command_find(argv[1]);

	if (!command)
		return err_set(
			err, ERR_INVALID, "no command '%s' (mayfly help lists them)", argv[1]);
	printf("%s", command->help);
	return 0;
}
