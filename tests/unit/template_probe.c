/* SPDX-License-Identifier: Apache-2.0 */
/*
 * template_probe - the probe as a template: "probe template" serves forks, each of which goes on as
 * the probe with the arguments of its INIT.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sandbox/template.h"
#include "sandbox/template_serve.h"

#define PROBE_CHANNEL 3
#define PROBE_COMMAND "MAYFLY_COMMAND_"

extern char **environ;
int probe_main(int argc, char **argv);

static char probe_init[65536];
static char *probe_arguments[16];
static char *probe_environment[64] = {
	"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/tmp", "TMPDIR=/tmp", "LANG=C.UTF-8", "TZ=UTC"};

static void
probe_read(void *at, size_t size)
{
	for (size_t got = 0; got < size;) {
		ssize_t n = read(PROBE_CHANNEL, (char *)at + got, size - got);

		if (n <= 0)
			_exit(0);
		got += (size_t)n;
	}
}

/* Gives the number of arguments. */
static int
probe_read_init(void)
{
	uint32_t head[4];
	int n_arguments = 0, n = 5;

	probe_read(head, sizeof(head));
	probe_read(probe_init, head[0]);
	for (char *at = probe_init; at < probe_init + head[0]; at += strlen(at) + 1) {
		if (strncmp(at, PROBE_COMMAND, strlen(PROBE_COMMAND)) == 0)
			probe_arguments[n_arguments++] = strchr(at, '=') + 1;
		else
			probe_environment[n++] = at;
	}
	environ = probe_environment;
	return n_arguments;
}

int
main(int argc, char **argv)
{
	static const struct template_hooks hooks;

	if (argc < 2 || strcmp(argv[1], "template") != 0)
		return probe_main(argc, argv);
	if (template_serve(TEMPLATE_FD, &hooks) != 1)
		return 0;
	return probe_main(probe_read_init(), probe_arguments);
}
