/* SPDX-License-Identifier: Apache-2.0 */
#include "store/blob.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/own.h"
#include "base/path.h"
#include "store/row_stmt.h"

#define BLOB_SWEEP_MAX 1000 /* removed in one turn: the store's thread has others to serve */
#define BLOB_PATH_SIZE (4 + ID_SHA256_SIZE) /* "ab/" and the digest */

OWN_DEFINE(sha256, struct id_sha256 *, id_sha256_free)

/* A full disk is nobody's mistake and passes: the caller may come again. */
static int
blob_err(struct err *err, const char *doing)
{
	if (errno == ENOSPC || errno == EDQUOT)
		return err_set(err, ERR_UNAVAILABLE, "%s: the disk of the store is full", doing);
	return err_sys(err, "%s", doing);
}

static void
blob_path(const char *digest, char ret[static BLOB_PATH_SIZE])
{
	snprintf(ret, BLOB_PATH_SIZE, "%.2s/%s", digest, digest);
}

/* incoming/ holds what is being written; nothing in it outlives the process that wrote it. */
int
blob_start(struct store_db *db, const char *data_dir, struct err *err)
{
	OWN(mem) char *folder = path_join(data_dir, "blobs");
	OWN(mem) char *incoming = path_join(folder, "incoming");
	int rc = path_remove(incoming, err);

	if (rc >= 0)
		rc = path_make(incoming, 0700, err);
	if (rc < 0)
		return rc;
	db->blobs_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return db->blobs_fd < 0 ? err_sys(err, "opening %s", folder) : 0;
}

/* ---- put ---- */

struct blob_incoming {
	int folder_fd; /* borrowed */
	int fd;        /* owned */
	char name[32]; /* "" once it has moved to its place */
};

static void
own_blob_incoming(struct blob_incoming *incoming)
{
	own_fd(&incoming->fd);
	if (incoming->name[0])
		unlinkat(incoming->folder_fd, incoming->name, 0);
}

static int
blob_incoming_open(struct blob_incoming *incoming, const struct store_db *db, struct err *err)
{
	uint64_t random;
	int fd;

	id_random(&random, sizeof(random));
	incoming->folder_fd = db->blobs_fd;
	snprintf(incoming->name, sizeof(incoming->name), "incoming/%016" PRIx64, random);
	fd = openat(db->blobs_fd, incoming->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0) {
		incoming->fd = fd;
		return 0;
	}
	incoming->name[0] = '\0';
	return blob_err(err, "making a blob");
}

static int
blob_write(int fd, struct str bytes, struct err *err)
{
	while (bytes.len) {
		ssize_t n = write(fd, bytes.at, bytes.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return blob_err(err, "writing a blob");
		bytes = str_n(bytes.at + n, bytes.len - n);
	}
	return 0;
}

/* A name is durable when the folder that holds it is. */
static int
blob_sync_folder(int at, const char *path, struct err *err)
{
	OWN(fd) int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return blob_err(err, "syncing the blobs");
	return 0;
}

static int
blob_make_folder(const struct store_db *db, const char *name, struct err *err)
{
	if (mkdirat(db->blobs_fd, name, 0700) < 0)
		return errno == EEXIST ? 0 : blob_err(err, "making a folder of blobs");
	return blob_sync_folder(db->blobs_fd, ".", err);
}

/* True if the blob is there; it is then as young as one just put, so that a sweep leaves it to
 * the row that is about to name it. */
static bool
blob_touch(const struct store_db *db, const char *path)
{
	return !utimensat(db->blobs_fd, path, NULL, AT_SYMLINK_NOFOLLOW);
}

/* The folder is synced also when the blob was there: its rename may be younger than a crash. */
static int
blob_settle(const struct store_db *db, struct blob_incoming *incoming, const char *digest,
	struct err *err)
{
	char path[BLOB_PATH_SIZE], folder[3] = {digest[0], digest[1], '\0'};
	int rc;

	blob_path(digest, path);
	if (!blob_touch(db, path)) {
		if (fsync(incoming->fd) < 0)
			return blob_err(err, "syncing a blob");
		rc = blob_make_folder(db, folder, err);
		if (rc < 0)
			return rc;
		if (renameat(db->blobs_fd, incoming->name, db->blobs_fd, path) < 0)
			return blob_err(err, "moving a blob to its place");
		incoming->name[0] = '\0';
	}
	return blob_sync_folder(db->blobs_fd, folder, err);
}

int
blob_put(struct store_db *db, struct str bytes, char ret_digest[static ID_SHA256_SIZE],
	struct err *err)
{
	OWN(blob_incoming) struct blob_incoming incoming = {-1, -1, ""};
	char digest[ID_SHA256_SIZE], path[BLOB_PATH_SIZE];
	int rc = 0;

	id_sha256(bytes, digest);
	blob_path(digest, path);
	if (!blob_touch(db, path)) {
		rc = blob_incoming_open(&incoming, db, err);
		if (rc >= 0)
			rc = blob_write(incoming.fd, bytes, err);
	}
	if (rc >= 0)
		rc = blob_settle(db, &incoming, digest, err);
	if (rc < 0)
		return rc;
	memcpy(ret_digest, digest, sizeof(digest));
	return 0;
}

/* Reads one block beyond max at most, so that a file that is too large is told from one that is
 * just as large as it may be. */
static int
blob_copy(
	int from, int to, uint64_t max, struct id_sha256 *sum, uint64_t *ret_size, struct err *err)
{
	OWN(mem) char *block = mem_new(128 * 1024);
	uint64_t size = 0;
	ssize_t n;
	int rc;

	while ((n = read(from, block, 128 * 1024)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "reading the bytes of a blob");
		size += n;
		if (size > max)
			return err_set(err, ERR_TOO_LARGE, "more than %" PRIu64 " bytes", max);
		id_sha256_add(sum, block, n);
		rc = blob_write(to, str_n(block, n), err);
		if (rc < 0)
			return rc;
	}
	*ret_size = size;
	return 0;
}

int
blob_put_fd(struct store_db *db, int fd, uint64_t max, char ret_digest[static ID_SHA256_SIZE],
	uint64_t *ret_size, struct err *err)
{
	OWN(blob_incoming) struct blob_incoming incoming = {-1, -1, ""};
	OWN(sha256) struct id_sha256 *sum = id_sha256_new();
	char digest[ID_SHA256_SIZE];
	uint64_t size = 0;
	int rc = blob_incoming_open(&incoming, db, err);

	if (rc >= 0)
		rc = blob_copy(fd, incoming.fd, max, sum, &size, err);
	if (rc < 0)
		return rc;
	id_sha256_end(take_ptr(&sum), digest);
	rc = blob_settle(db, &incoming, digest, err);
	if (rc < 0)
		return rc;
	memcpy(ret_digest, digest, sizeof(digest));
	*ret_size = size;
	return 0;
}

/* ---- open ---- */

int
blob_open_at(int blobs_fd, const char *digest, int *ret_fd, uint64_t *ret_size, struct err *err)
{
	OWN(fd) int fd = -1;
	char path[BLOB_PATH_SIZE];
	struct stat st;

	if (!id_is_sha256(str_of(digest)))
		return err_set(err, ERR_INVALID, "a blob is named by a SHA-256 of 64 hex digits");
	blob_path(digest, path);
	fd = openat(blobs_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return err_set(err, ERR_NOT_FOUND, "there is no blob %s", digest);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "opening blob %s", digest);
	*ret_fd = take_fd(&fd);
	*ret_size = st.st_size;
	return 0;
}

int
blob_open(struct store *store, const char *digest, int *ret_fd, uint64_t *ret_size, struct err *err)
{
	return blob_open_at(store_blobs_fd(store), digest, ret_fd, ret_size, err);
}

/* ---- sweep ---- */

struct blob_named {
	bool is_named;
};
static const struct row_stmt_field fields[] = {ROW_FIELD(BOOL, struct blob_named, is_named)};
static const struct row_stmt_shape shape = ROW_SHAPE("blob", fields);

/* Prepares by itself: blob_swept() asks outside of a transaction. */
static int
blob_is_named(struct store_db *db, const char *digest, struct err *err)
{
	static const char sql[] = "SELECT EXISTS (SELECT 1 FROM version WHERE source = ?1)"
				  " OR EXISTS (SELECT 1 FROM version WHERE deps = ?1)"
				  " OR EXISTS (SELECT 1 FROM build WHERE deps = ?1)";
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	struct blob_named named = {true};
	int rc = store_sqlite_prepare(db, sql, &stmt.stmt, err);

	if (rc < 0)
		return rc;
	stmt.db = db;
	row_stmt_bind_text(&stmt, 1, digest);
	rc = row_stmt_next(&stmt, &shape, &named, err);
	return rc < 0 ? rc : named.is_named;
}

static bool
blob_is_old(const struct store_db *db, const char *digest, unsigned min_age_s)
{
	char path[BLOB_PATH_SIZE];
	struct stat st;

	blob_path(digest, path);
	return !fstatat(db->blobs_fd, path, &st, AT_SYMLINK_NOFOLLOW) &&
	       st.st_mtime + (time_t)min_age_s <= time(NULL);
}

static int
blob_sweep_folder(struct store_db *db, const char *name, struct err *err)
{
	int fd = openat(db->blobs_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	OWN(dir) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir)
		return err_sys(err, "opening blobs/%s", name);
	while (db->n_doomed < BLOB_SWEEP_MAX && (entry = readdir(dir))) {
		int rc;

		if (!id_is_sha256(str_of(entry->d_name)) ||
			!blob_is_old(db, entry->d_name, db->min_age_s))
			continue;
		rc = blob_is_named(db, entry->d_name, err);
		if (rc < 0)
			return rc;
		if (!rc)
			memcpy(db->doomed[db->n_doomed++], entry->d_name, ID_SHA256_SIZE);
	}
	return 0;
}

int
blob_sweep(struct store_db *db, unsigned min_age_s, unsigned *ret_n, struct err *err)
{
	int fd = openat(db->blobs_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	OWN(dir) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int rc = 0;

	if (!dir)
		return err_sys(err, "opening the blobs");
	if (!db->doomed)
		db->doomed = mem_new(BLOB_SWEEP_MAX * sizeof(*db->doomed));
	db->n_doomed = 0;
	db->min_age_s = min_age_s;
	while (rc >= 0 && db->n_doomed < BLOB_SWEEP_MAX && (entry = readdir(dir)))
		if (strlen(entry->d_name) == 2 && entry->d_name[0] != '.')
			rc = blob_sweep_folder(db, entry->d_name, err);
	if (rc < 0)
		return rc;
	*ret_n = db->n_doomed;
	return 0;
}

/* Between the sweep and the commit a row may have come back (its deletion was undone) or a new
 * one may have named the blob: both are asked again. A file that cannot be removed stays for the
 * next sweep. */
void
blob_swept(struct store_db *db)
{
	for (unsigned i = 0; i < db->n_doomed; i++) {
		const char *digest = db->doomed[i];
		char path[BLOB_PATH_SIZE];

		blob_path(digest, path);
		if (blob_is_old(db, digest, db->min_age_s) && !blob_is_named(db, digest, NULL))
			unlinkat(db->blobs_fd, path, 0);
	}
	db->n_doomed = 0;
}
