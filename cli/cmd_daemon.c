/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that are the daemon's own program: found beside this one, and become it. */
#include "base/path.h"
#include "commands.h"

const char cmd_serve_help[] =
	"usage: mayfly serve [--config FILE] [--data-dir DIR] [--listen HOST:PORT] …\n\n"
	"Runs the daemon in the foreground. As root it starts the spawner, then gives up every\n"
	"privilege; without root it runs in a user namespace and says which limits it cannot\n"
	"enforce. `mayfly serve --help` lists each setting with its default, unit and range; the\n"
	"same settings stand in /etc/mayfly/mayfly.conf.\n\n"
	"  mayfly serve                                    127.0.0.1:8080, /var/lib/mayfly\n"
	"  mayfly serve --listen 0.0.0.0:80 --log-format json\n";

const char cmd_doctor_help[] =
	"usage: mayfly doctor [--json]\n\n"
	"Tries each protection, each limit and each isolation mechanism on this machine, with the\n"
	"rights that you have, and says yes or no and why. Needs no running daemon. Exit status 0\n"
	"when everything that mayfly needs is there, 1 when something is missing.\n";

static int
become_daemon(char **argv, struct err *err)
{
	OWN(mem) char *path = path_join(path_libexec(), "mayfly-daemon");

	fflush(stdout);
	execv(path, argv);
	return err_sys(err, "starting %s", path);
}

int
cmd_serve(struct cli *cli, int argc, char **argv, struct err *err)
{
	argv[0] = (char *)"mayfly-daemon";
	return become_daemon(argv, err);
}

int
cmd_doctor(struct cli *cli, int argc, char **argv, struct err *err)
{
	static const struct option options[] = {CLI_OPTIONS, {0}};
	int rc = cli_option(cli, argc, argv, "h", options, err);

	if (rc != CLI_END)
		return rc == CLI_HELP ? 0 : rc;
	rc = cli_operands(argc, argv, 0, "no operand", err);
	if (rc < 0)
		return rc;
	char *words[] = {(char *)"mayfly-daemon", (char *)"--doctor",
		cli->is_json ? (char *)"--json" : NULL, NULL};

	return become_daemon(words, err);
}
