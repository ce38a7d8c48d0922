/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#define FUNCTIONS "Your functions"
#define CALLS     "Their calls"
#define PROVIDER  "The provider"
#define HERE      "This machine"

const struct cli_command cli_commands[] = {
	{"init", FUNCTIONS, "write a new function into a folder", cmd_init_help, cmd_init},
	{"deploy", FUNCTIONS, "create or update a function", cmd_deploy_help, cmd_deploy},
	{"ls", FUNCTIONS, "list functions", cmd_ls_help, cmd_ls},
	{"show", FUNCTIONS, "everything about one function", cmd_show_help, cmd_show},
	{"rollback", FUNCTIONS, "serve an earlier version again", cmd_rollback_help, cmd_rollback},
	{"rm", FUNCTIONS, "delete functions", cmd_rm_help, cmd_rm},
	{"call", CALLS, "call a function and print its answer", cmd_call_help, cmd_call},
	{"logs", CALLS, "what a function printed", cmd_logs_help, cmd_logs},
	{"calls", CALLS, "list, show or cancel calls", cmd_calls_help, cmd_calls},
	{"queue", CALLS, "durable calls that wait, per function", cmd_queue_help, cmd_queue},
	{"dead", CALLS, "durable calls that failed: see, try again, delete", cmd_dead_help,
		cmd_dead},
	{"schedule", CALLS, "call functions at set times", cmd_schedule_help, cmd_schedule},
	{"event", CALLS, "send events, see those that come", cmd_event_help, cmd_event},
	{"trigger", CALLS, "which events go to which function or URL", cmd_trigger_help,
		cmd_trigger},
	{"org", PROVIDER, "list, create or delete organisations", cmd_org_help, cmd_org},
	{"token", PROVIDER, "list, create or revoke tokens", cmd_token_help, cmd_token},
	{"vcd", PROVIDER, "paths of vCloud Director's API that functions answer", cmd_vcd_help,
		cmd_vcd},
	{"serve", HERE, "run the daemon", cmd_serve_help, cmd_serve},
	{"doctor", HERE, "what this machine can protect and limit", cmd_doctor_help, cmd_doctor},
	{"runtimes", HERE, "languages that the daemon found", cmd_runtimes_help, cmd_runtimes},
	{"version", HERE, "versions of this program and of the daemon", cmd_version_help,
		cmd_version},
	{"completion", HERE, "shell completion for bash, zsh or fish", cmd_completion_help,
		cmd_completion},
	{"help", HERE, "this overview, or the help of a command", cmd_help_help, cmd_help},
	{0},
};
