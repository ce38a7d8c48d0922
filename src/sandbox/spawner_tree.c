/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/spawner_main.h"

#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "sandbox/stage.h"
#include "sandbox/tree.h"
#include "sandbox/watch.h"

/* ---- removal ---- */

static void
main_end_removal(struct main_removal *removal)
{
	siginfo_t how = {0};
	struct err err = {0};

	if (waitid(P_PIDFD, (id_t)removal->pidfd, &how, WEXITED) < 0)
		err_sys(&err, "waiting for the removal of a tree");
	else if (how.si_code != CLD_EXITED || how.si_status != 0)
		err_set(&err, ERR_SYSTEM, "removing a tree: %s",
			how.si_code == CLD_EXITED ? strerror(how.si_status) : "killed");
	if (err.code)
		log_warn("tree.not_removed", "error=%s", log_q(err.text));
	watch_close(&removal->pidfd);
	if (removal->is_asked)
		spawner_main_reply_failure(SPAWNER_REMOVED, removal->ticket, &err);
}

/* With no place left in the table it is waited for. */
static void
main_watch_removal(struct main_removal removal)
{
	struct err err = {0};

	for (unsigned i = 0; i < MAIN_REMOVALS_MAX; i++) {
		if (spawner.removals[i].pidfd >= 0)
			continue;
		if (spawner_main_watch(removal.pidfd, MAIN_REMOVAL, i, &err) < 0)
			break;
		spawner.removals[i] = removal;
		return;
	}
	main_end_removal(&removal);
}

void
spawner_tree_on_removal(struct main_removal *removal)
{
	if (removal->pidfd >= 0)
		main_end_removal(removal);
}

void
spawner_tree_on_remove(const struct spawner_request *request)
{
	char path[TREE_PATH_SIZE];
	struct err err = {0};
	int pidfd = -1;

	if (tree_find(request->tree, path, &err) < 0)
		err = (struct err){0}; /* it is not there: that is what was asked for */
	else
		tree_discard(path, &pidfd, &err);
	if (pidfd < 0)
		spawner_main_reply_failure(SPAWNER_REMOVED, request->sandbox, &err);
	else
		main_watch_removal((struct main_removal){pidfd, true, request->sandbox});
}

/* ---- what sandboxes get and make ---- */

/* A read-only copy of the mount of one tree. */
int
spawner_tree_copy(const char *digest, int *ret, bool *ret_has_modules, struct err *err)
{
	char path[TREE_PATH_SIZE], modules[TREE_PATH_SIZE + 16];
	int rc = tree_find(digest, path, err);

	if (rc < 0)
		return rc;
	snprintf(modules, sizeof(modules), "%s/node_modules", path);
	if (ret_has_modules)
		*ret_has_modules = faccessat(AT_FDCWD, modules, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	*ret = stage_copy(path, STAGE_READ_ONLY | STAGE_NO_DEVICES);
	return *ret < 0 ? err_sys(err, "copying the mount of a tree") : 0;
}

int
spawner_tree_copy_out(struct seat *seat, int *ret, struct err *err)
{
	char path[TREE_PATH_SIZE];
	int rc = tree_begin(seat->index, seat_uid(&spawner.seats, seat), path, err);

	if (rc < 0)
		return rc;
	*ret = stage_copy(path, STAGE_NO_DEVICES | STAGE_NO_EXEC);
	return *ret < 0 ? err_sys(err, "copying the mount of a new tree") : 0;
}

/* The tree of an unpacking sandbox gets its name, or goes. */
void
spawner_tree_end(struct seat *seat)
{
	char path[TREE_PATH_SIZE];
	struct err err = {0};
	int pidfd;

	if (seat->kind != SANDBOX_UNPACK)
		return;
	if (seat->status == 0 && seat->failure.code == 0 &&
		tree_finish(seat->index, seat->tree, &seat->failure) < 0)
		seat->status = 1;
	snprintf(path, sizeof(path), "/trees/.new-%u", seat->index);
	if (tree_discard(path, &pidfd, &err) == 0 && pidfd >= 0)
		main_watch_removal((struct main_removal){pidfd, false, 0});
}
