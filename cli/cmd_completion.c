/* SPDX-License-Identifier: Apache-2.0 */
/* Completion scripts: commands and their flags from the help texts, functions from the daemon. */
#include "commands.h"

const char cmd_completion_help[] =
	"usage: mayfly completion bash|zsh|fish\n\n"
	"Prints a completion script for the shell.\n\n"
	"  mayfly completion bash > /etc/bash_completion.d/mayfly\n"
	"  mayfly completion zsh > \"${fpath[1]}/_mayfly\"\n"
	"  mayfly completion fish > ~/.config/fish/completions/mayfly.fish\n";

/* The long flags of a help text, each followed by a space. */
static void
add_flags(struct buf *out, const char *help)
{
	for (const char *at = help; (at = strstr(at, "--"));) {
		size_t len = 2 + strspn(at + 2, "abcdefghijklmnopqrstuvwxyz-");
		OWN(mem) char *flag = mem_printf("%.*s ", (int)len, at);

		if (len > 2 && (!out->at || !strstr(out->at, flag)))
			buf_add_text(out, flag);
		at += len;
	}
}

static char *
command_names(void)
{
	struct buf out = BUF_INIT;

	for (const struct cli_command *command = cli_commands; command->name; command++)
		buf_printf(&out, "%s ", command->name);
	return buf_take(&out, NULL);
}

static void
print_bash(void)
{
	OWN(mem) char *names = command_names();

	printf("# bash completion for mayfly\n"
	       "_mayfly() {\n"
	       "\tlocal word=${COMP_WORDS[COMP_CWORD]} flags='--url --org --token-file --json "
	       "--help'\n"
	       "\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n"
	       "\t\tCOMPREPLY=($(compgen -W '%s' -- \"$word\")); return\n"
	       "\tfi\n"
	       "\tcase ${COMP_WORDS[1]} in\n",
		names);
	for (const struct cli_command *command = cli_commands; command->name; command++) {
		OWN(buf) struct buf flags = BUF_INIT;

		add_flags(&flags, command->help);
		if (flags.len)
			printf("\t%s) flags=\"$flags %s\" ;;\n", command->name, flags.at);
	}
	printf("\tesac\n"
	       "\tcase $word in\n"
	       "\t-*) COMPREPLY=($(compgen -W \"$flags\" -- \"$word\")); return ;;\n"
	       "\tesac\n"
	       "\tcase ${COMP_WORDS[1]} in\n"
	       "\tshow|call|logs|calls|rollback|rm)\n"
	       "\t\tCOMPREPLY=($(compgen -W \"$(mayfly ls --names 2>/dev/null)\" -- \"$word\")) "
	       ";;\n"
	       "\tinit|deploy) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n"
	       "\tvcd) COMPREPLY=($(compgen -W 'register status unregister' -- \"$word\")) ;;\n"
	       "\torg|token) COMPREPLY=($(compgen -W 'ls create show rm' -- \"$word\")) ;;\n"
	       "\thelp) COMPREPLY=($(compgen -W '%s' -- \"$word\")) ;;\n"
	       "\tcompletion) COMPREPLY=($(compgen -W 'bash zsh fish' -- \"$word\")) ;;\n"
	       "\tesac\n"
	       "}\n"
	       "complete -F _mayfly mayfly\n",
		names);
}

static void
print_fish(void)
{
	for (const struct cli_command *command = cli_commands; command->name; command++) {
		OWN(buf) struct buf flags = BUF_INIT;

		printf("complete -c mayfly -n __fish_use_subcommand -a %s -d '%s'\n", command->name,
			command->summary);
		add_flags(&flags, command->help);
		struct str rest = buf_str(&flags);

		while (rest.len) {
			struct str flag = str_cut(&rest, ' ');

			if (flag.len > 2)
				printf("complete -c mayfly -n '__fish_seen_subcommand_from %s' "
				       "-l %.*s\n",
					command->name, (int)flag.len - 2, flag.at + 2);
		}
	}
	printf("complete -c mayfly -f -n '__fish_seen_subcommand_from show call logs calls "
	       "rollback "
	       "rm' -a '(mayfly ls --names 2>/dev/null)'\n");
}

int
cmd_completion(struct cli *cli, int argc, char **argv, struct err *err)
{
	static const struct option options[] = {CLI_OPTIONS, {0}};
	int option = cli_option(cli, argc, argv, "h", options, err);

	if (option != CLI_END)
		return option == CLI_HELP ? 0 : option;
	int rc = cli_operands(argc, argv, 1, "bash, zsh or fish", err);

	if (rc < 0)
		return rc;
	const char *shell = argv[optind];

	if (strcmp(shell, "fish") == 0) {
		print_fish();
	} else if (strcmp(shell, "bash") == 0 || strcmp(shell, "zsh") == 0) {
		/* zsh runs bash's script through its own translation. */
		if (*shell == 'z')
			printf("#compdef mayfly\nautoload -U +X bashcompinit && bashcompinit\n");
		print_bash();
	} else {
		return err_set(err, ERR_INVALID, "'%s' is none of bash, zsh, fish", shell);
	}
	return 0;
}
