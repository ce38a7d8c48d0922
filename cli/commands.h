/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commands - every command of `mayfly`, in the order of `mayfly help`. One file per noun.
 */
#ifndef MAYFLY_CLI_COMMANDS_H
#define MAYFLY_CLI_COMMANDS_H

#include "cli.h"

typedef int cmd_fn(struct cli *cli, int argc, char **argv, struct err *err);

extern const char cmd_event_help[], cmd_trigger_help[], cmd_vcd_help[];
extern const char cmd_init_help[], cmd_deploy_help[], cmd_ls_help[], cmd_show_help[],
	cmd_call_help[], cmd_logs_help[], cmd_calls_help[], cmd_rollback_help[], cmd_rm_help[],
	cmd_org_help[], cmd_token_help[], cmd_runtimes_help[], cmd_serve_help[], cmd_doctor_help[],
	cmd_schedule_help[], cmd_version_help[], cmd_completion_help[], cmd_dead_help[],
	cmd_queue_help[], cmd_help_help[];

cmd_fn cmd_init, cmd_deploy, cmd_ls, cmd_show, cmd_call, cmd_logs, cmd_calls, cmd_rollback, cmd_rm,
	cmd_schedule, cmd_org, cmd_token, cmd_runtimes, cmd_serve, cmd_doctor, cmd_dead, cmd_queue,
	cmd_version, cmd_completion, cmd_help;

cmd_fn cmd_event, cmd_trigger, cmd_vcd;

void cmd_help_print(void);

#endif
