/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/shelf.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/sendfile.h>

#include "base/own.h"
#include "base/path.h"
#include "domain/job.h"
#include "sandbox/unpack.h"
#include "store/blob.h"

#define UNPACK_MS           60000
#define UNPACK_MEMORY       (256ull << 20)
#define UNPACK_PROCESSES    16
#define UNPACK_FILES        64
#define UNPACK_TMP          (1ull << 20)
#define UNPACK_REPORT_BYTES (2 * UNPACK_TEXT_MAX + 4096)
#define REPORT_KEPT_BYTES   2048 /* a longer one is forgotten once it was read */

enum shelf_state { SHELF_UNKNOWN, SHELF_OPENING, SHELF_UNPACKING, SHELF_THERE, SHELF_REMOVING };

struct shelf_tree {
	struct domain *domain; /* borrowed */
	char name[ID_SHA256_SIZE];
	enum shelf_state state;
	unsigned n_users;
	bool has_report;
	struct buf report;   /* owned */
	struct list waiting; /* of struct shelf_wait, borrowed */
	/* how it is made, from the last who needed it */
	char blob[ID_SHA256_SIZE];
	char filename[128];
	uint64_t bytes;
	uint32_t entries;
	struct job *job; /* borrowed, while UNPACKING */
};

void
shelf_name(const char *blob, const char *filename, char ret[static ID_SHA256_SIZE])
{
	OWN(mem) char *text = mem_printf("%s\n%s", blob, filename);

	id_sha256(str_of(text), ret);
}

static struct shelf_tree *
shelf_find(const struct domain *domain, const char *name)
{
	return map_find(&domain->shelf, str_of(name));
}

static void
shelf_tree_free(struct shelf_tree *tree)
{
	buf_done(&tree->report);
	free(tree);
}

/* ---- removing ---- */

static void shelf_tree_make(struct shelf_tree *tree) ON_LOOP;

static void
shelf_tree_forget(struct shelf_tree *tree)
{
	map_remove(&tree->domain->shelf, str_of(tree->name));
	shelf_tree_free(tree);
}

static void
shelf_on_removed(int code, void *arg)
{
	struct shelf_tree *tree = arg;

	thread_on_loop();
	tree->state = SHELF_UNKNOWN;
	if (!list_is_empty(&tree->waiting))
		shelf_tree_make(tree);
	else if (!tree->n_users)
		shelf_tree_forget(tree);
}

static void
shelf_tree_remove(struct shelf_tree *tree) ON_LOOP
{
	tree->state = SHELF_REMOVING;
	tree->has_report = false;
	buf_clear(&tree->report);
	spawner_remove_tree(tree->domain->spawner, tree->name, shelf_on_removed, tree);
}

void
shelf_hold(struct domain *domain, const char *name)
{
	struct shelf_tree *tree = shelf_find(domain, name);

	if (!*name)
		return;
	if (!tree) {
		tree = mem_new(sizeof(*tree));
		tree->domain = domain;
		snprintf(tree->name, sizeof(tree->name), "%s", name);
		list_init(&tree->waiting);
		map_put(&domain->shelf, str_of(name), tree);
	}
	tree->n_users++;
}

void
shelf_release(struct domain *domain, const char *name)
{
	struct shelf_tree *tree = shelf_find(domain, name);

	if (!*name)
		return;
	must(tree && tree->n_users);
	if (--tree->n_users || domain->is_stopping)
		return;
	if (tree->state == SHELF_THERE || tree->state == SHELF_UNKNOWN)
		shelf_tree_remove(tree);
}

/* ---- making ---- */

/* Tells everyone who waits now; who waits again in done() waits for another try. */
static void
shelf_tree_tell(struct shelf_tree *tree, int code, const struct err *err)
{
	struct shelf_wait *wait;
	struct list told;

	list_init(&told);
	while ((wait = list_first(&tree->waiting, struct shelf_wait, link))) {
		list_remove(&wait->link);
		list_push_back(&told, &wait->link);
	}
	tree->n_users++; /* so that it outlives its last user */
	while ((wait = list_first(&told, struct shelf_wait, link))) {
		list_remove(&wait->link);
		wait->done(wait, code, err);
	}
	tree->n_users--;
}

/* Tenants decide how long reports are, and there is one for every tree. */
static void
shelf_tree_forget_report(struct shelf_tree *tree)
{
	if (tree->report.len <= REPORT_KEPT_BYTES)
		return;
	tree->has_report = false;
	buf_done(&tree->report);
}

static void
shelf_tree_settle(struct shelf_tree *tree, int code, const struct err *err) ON_LOOP
{
	tree->state = code < 0 ? SHELF_UNKNOWN : SHELF_THERE;
	shelf_tree_tell(tree, code, err);
	shelf_tree_forget_report(tree);
	if (tree->n_users || tree->domain->is_stopping)
		return;
	if (tree->state == SHELF_THERE || tree->state == SHELF_UNKNOWN)
		shelf_tree_remove(tree);
}

/* The program's last line, for the developer. */
static int
shelf_unpack_refused(const struct job_end *end, struct err *err)
{
	struct str text = end->printed;

	while (text.len && text.at[text.len - 1] == '\n')
		text.len--;
	if (end->usage.n_oom_kills)
		return err_set(err, ERR_TOO_LARGE, "unpacking the source needs too much memory");
	if (end->status != 1 || !text.len)
		return err_set(err, ERR_INTERNAL, "unpacking the source ended with %d%s%.*s",
			end->status, text.len ? ": " : "", STR_ARG(text));
	return err_set(err, ERR_INVALID, "%.*s", STR_ARG(text));
}

static void
shelf_on_unpacked(const struct job_end *end, void *arg)
{
	struct shelf_tree *tree = arg;
	struct err err = end->failure;

	thread_on_loop();
	tree->job = NULL;
	if (err.code == 0 && end->is_stopped)
		err_set(&err, ERR_CANCELLED, "nobody waits for the tree");
	else if (err.code == 0 && end->is_over_deadline)
		err_set(&err, ERR_TOO_LARGE, "unpacking the source took more than %d s",
			UNPACK_MS / 1000);
	else if (err.code == 0 && end->status != 0)
		shelf_unpack_refused(end, &err);
	if (err.code == 0) {
		buf_clear(&tree->report);
		buf_add_str(&tree->report, end->answer);
		tree->has_report = true;
	} else if (err.code == ERR_CANCELLED && !list_is_empty(&tree->waiting)) {
		shelf_tree_make(tree);
		return;
	}
	shelf_tree_settle(tree, err.code, &err);
}

static int
shelf_unpack(struct shelf_tree *tree, int archive, struct err *err) ON_LOOP
{
	struct job_spec spec = {
		.kind = SANDBOX_UNPACK,
		.root = domain_root(tree->domain, language_unpack_root()),
		.tree = tree->name,
		.limits = {.memory_bytes = UNPACK_MEMORY,
			.cpu_weight = 100,
			.processes = UNPACK_PROCESSES,
			.open_files = UNPACK_FILES,
			.tmp_bytes = UNPACK_TMP,
			.file_bytes = tree->bytes ? tree->bytes : UNPACK_BYTES_DEFAULT,
			.unpacked_bytes = tree->bytes,
			.unpacked_entries = tree->entries},
		.deadline_ms = UNPACK_MS,
		.answer_bytes = UNPACK_REPORT_BYTES,
		.input = archive,
		.output = -1,
		.on_end = shelf_on_unpacked,
		.arg = tree,
	};

	return job_start(tree->domain, &spec, &tree->job, err);
}

/* ---- opening the blob, on the store's thread: it may be large, and on a slow disk ---- */

struct shelf_open {
	struct store_message message;
	struct store *store;     /* borrowed */
	struct shelf_tree *tree; /* borrowed; it is OPENING until this is done */
	char blob[ID_SHA256_SIZE];
	char filename[128];
	int fd; /* owned */
};

static int
shelf_copy(int from, int to, uint64_t size, struct err *err)
{
	while (size) {
		ssize_t n = sendfile(to, from, NULL, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(err, "copying a source file");
		size -= (uint64_t)n;
	}
	return 0;
}

/* A file gets its name in front, so that mayfly-unpack knows it. */
static int
shelf_name_file(int blob, uint64_t size, const char *filename, int *ret, struct err *err)
{
	OWN(fd) int named = memfd_create("source", MFD_CLOEXEC);

	if (named < 0)
		return err_sys(err, "making room for a source file");
	if (dprintf(named, UNPACK_SOURCE_MARK "%s\n", filename) < 0)
		return err_sys(err, "naming a source file");
	int rc = shelf_copy(blob, named, size, err);

	if (rc < 0)
		return rc;
	if (lseek(named, 0, SEEK_SET) < 0)
		return err_sys(err, "rewinding a source file");
	*ret = take_fd(&named);
	return 0;
}

static int
shelf_open_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct shelf_open *open = list_owner(message, struct shelf_open, message);
	OWN(fd) int fd = -1;
	uint64_t size = 0;
	int rc = blob_open(open->store, open->blob, &fd, &size, err);

	if (rc < 0)
		return err_wrap(err, rc, "the source");
	if (open->filename[0])
		return shelf_name_file(fd, size, open->filename, &open->fd, err);
	open->fd = take_fd(&fd);
	return 0;
}

static void
shelf_open_done(struct store_message *message)
{
	OWN(mem) struct shelf_open *open = list_owner(message, struct shelf_open, message);
	struct shelf_tree *tree = open->tree;
	struct err err = message->err;
	int rc = message->code;

	thread_on_loop();
	if (list_is_empty(&tree->waiting)) {
		own_fd(&open->fd);
		err_set(&err, ERR_CANCELLED, "nobody waits for the tree");
		shelf_tree_settle(tree, ERR_CANCELLED, &err);
		return;
	}
	if (rc >= 0) {
		tree->state = SHELF_UNPACKING;
		rc = shelf_unpack(tree, open->fd, &err);
	}
	if (rc < 0)
		shelf_tree_settle(tree, rc, &err);
}

static void
shelf_tree_make(struct shelf_tree *tree)
{
	struct shelf_open *open = mem_new(sizeof(*open));

	tree->state = SHELF_OPENING;
	open->store = tree->domain->store;
	open->tree = tree;
	open->fd = -1;
	memcpy(open->blob, tree->blob, sizeof(open->blob));
	memcpy(open->filename, tree->filename, sizeof(open->filename));
	open->message.work = shelf_open_work;
	open->message.done = shelf_open_done;
	store_ask(tree->domain->store, &open->message);
}

/* ---- asking ---- */

bool
shelf_has(const struct domain *domain, const char *name)
{
	const struct shelf_tree *tree = shelf_find(domain, name);

	if (!*name || (tree && tree->state == SHELF_THERE))
		return true;
	return (!tree || tree->state == SHELF_UNKNOWN) && spawner_has_tree(domain->spawner, name);
}

struct str
shelf_report(const struct domain *domain, const char *name)
{
	const struct shelf_tree *tree = shelf_find(domain, name);

	return tree ? buf_str(&tree->report) : STR_NONE;
}

bool
shelf_need(struct domain *domain, const char *name, const struct shelf_source *source,
	struct shelf_wait *wait)
{
	struct shelf_tree *tree = shelf_find(domain, name);

	must(tree && tree->n_users);
	if (shelf_has(domain, name) && (tree->has_report || !source->is_report_needed)) {
		tree->state = SHELF_THERE;
		return true;
	}
	snprintf(tree->blob, sizeof(tree->blob), "%s", source->blob);
	snprintf(tree->filename, sizeof(tree->filename), "%s", source->filename);
	tree->bytes = source->bytes;
	tree->entries = source->entries;
	list_push_back(&tree->waiting, &wait->link);
	if (tree->state == SHELF_UNKNOWN || tree->state == SHELF_THERE)
		shelf_tree_make(tree);
	return false;
}

void
shelf_leave(struct domain *domain, const char *name, struct shelf_wait *wait)
{
	struct shelf_tree *tree = shelf_find(domain, name);

	list_remove(&wait->link);
	if (tree && tree->job && list_is_empty(&tree->waiting))
		job_stop(tree->job);
}

/* ---- start and end ---- */

/* A removal that is lost here is made up for by the next start. */
void
shelf_sweep(struct domain *domain)
{
	OWN(mem) char *path = path_join(domain->config.data_dir, "trees");
	OWN(dir) DIR *folder = opendir(path);
	struct dirent *entry;

	while (folder && (entry = readdir(folder)))
		if (id_is_sha256(str_of(entry->d_name)) && !shelf_find(domain, entry->d_name))
			spawner_remove_tree(domain->spawner, entry->d_name, NULL, NULL);
}

void
shelf_free(struct domain *domain)
{
	map_each (&domain->shelf, entry)
		shelf_tree_free(entry->value);
	map_done(&domain->shelf);
}
