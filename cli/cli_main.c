/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "screen.h"

static const struct option global_options[] = {CLI_OPTIONS, {0}};

const struct cli_command *
cli_command_find(const char *name)
{
	for (const struct cli_command *command = cli_commands; command->name; command++) {
		if (strcmp(command->name, name) == 0)
			return command;
	}
	return NULL;
}

static void
print_error(const struct err *err)
{
	fprintf(stderr, "mayfly: %s%s%s\n", err->field[0] ? err->field : "",
		err->field[0] ? ": " : "", err->text[0] ? err->text : err_word(err->code));
}

/* Flags before the name of the command are the global ones; --help there is the overview. */
static int
read_global(struct cli *cli, int argc, char **argv, struct err *err)
{
	char name[] = "help";
	char *first = argv[0];

	argv[0] = name;
	int option = cli_option(cli, argc, argv, "+h", global_options, err);

	argv[0] = first;
	return option;
}

static int
run(struct cli *cli, int argc, char **argv, struct err *err)
{
	int rc = read_global(cli, argc, argv, err);

	if (rc == CLI_HELP)
		return 0;
	if (rc == CLI_END && optind == argc) {
		cmd_help_print();
		return 0;
	}
	if (rc != CLI_END)
		return rc;
	const struct cli_command *command = cli_command_find(argv[optind]);

	if (!command)
		return err_set(
			err, ERR_INVALID, "no command '%s' (mayfly help lists them)", argv[optind]);
	argc -= optind;
	argv += optind;
	optind = 0; /* glibc: begin anew, with the flags of the command */
	return command->run(cli, argc, argv, err);
}

int
main(int argc, char **argv)
{
	struct cli cli = {0};
	struct err err = {0};
	int rc;

	screen_open();
	rc = run(&cli, argc, argv, &err);

	cli_progress_end();
	cli_context_done(&cli);
	if (rc == 0 && (fflush(stdout) != 0 || ferror(stdout)))
		rc = err_sys(&err, "writing to stdout");
	if (rc < 0)
		print_error(&err);
	return rc < 0 ? err_exit_code(rc) : 0;
}
