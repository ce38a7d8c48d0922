/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "addon.h"
#include "platform.h"
#include "preload.h"
#include "sandbox/spawner_protocol.h"
#include "sandbox/template.h"
#include "sandbox/template_serve.h"

enum { LOOP_FDS = 5 };

static int
compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* What uv_loop_fork() closes, to open its own: it must be there, or it closes what has taken the
 * number meanwhile. Rising; those that are none are left out. */
static size_t
list_descriptors(const uv_loop_t *loop, int ret[static LOOP_FDS])
{
	const int all[LOOP_FDS] = {loop->backend_fd, loop->signal_pipefd[0], loop->signal_pipefd[1],
		loop->async_io_watcher.fd, loop->async_wfd};
	size_t n = 0;

	for (size_t i = 0; i < LOOP_FDS; i++) {
		bool is_new = all[i] > TEMPLATE_FD;

		for (size_t j = 0; j < n; j++)
			is_new = is_new && ret[j] != all[i];
		if (is_new)
			ret[n++] = all[i];
	}
	qsort(ret, n, sizeof(*ret), compare);
	return n;
}

void
addon_template_refuse(const char *reason)
{
	struct template_report report = {.magic = TEMPLATE_MAGIC, .event = TEMPLATE_FAILED};

	err_set(&report.err, ERR_SYSTEM, "this Node cannot be forked: %s", reason);
	spawner_protocol_send(TEMPLATE_FD, &report, sizeof(report), NULL, 0, 0);
}

const char *
addon_template_serve(uv_loop_t *loop)
{
	int kept[LOOP_FDS];
	struct template_hooks hooks = {.kept = kept, .n_kept = list_descriptors(loop, kept)};
	int rc;

	platform_rest();
	malloc_trim(0);
	rc = template_serve(TEMPLATE_FD, &hooks);
	if (rc < 0)
		return strerror(errno);
	if (rc == 0)
		return "the spawner has enough of it";
	preload_after_fork();
	if (uv_loop_fork(loop) < 0)
		_exit(1);
	uv_update_time(loop);
	return NULL;
}
