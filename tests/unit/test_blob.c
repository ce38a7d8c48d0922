/* SPDX-License-Identifier: Apache-2.0 */
#include "store_unit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "store/blob.h"

static char *
blob_file(const struct rows *rows, const char *digest)
{
	return mem_printf("%s/blobs/%.2s/%s", rows->folder, digest, digest);
}

static bool
has_blob(const struct rows *rows, const char *digest)
{
	OWN(mem) char *path = blob_file(rows, digest);

	return !access(path, F_OK);
}

static unsigned
count_incoming(const struct rows *rows)
{
	OWN(mem) char *path = mem_printf("%s/blobs/incoming", rows->folder);
	OWN(dir) DIR *dir = opendir(path);
	unsigned n = 0;

	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir));)
		n += entry->d_name[0] != '.';
	return n;
}

/* A pipe does not know its length, like a request body. */
static int
pipe_with(const char *text)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], text, strlen(text)), strlen(text));
	close(fds[1]);
	return fds[0];
}

static void
make_old(const struct rows *rows, const char *digest, unsigned age_s)
{
	OWN(mem) char *path = blob_file(rows, digest);
	struct timespec times[2] = {{time(NULL) - age_s}, {time(NULL) - age_s}};

	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void
put(struct rows *rows, const char *text, char digest[static ID_SHA256_SIZE]) ON_STORE
{
	ok(rows, blob_put(&rows->db, str_of(text), digest, &rows->err));
}

static void
expect_bytes(struct rows *rows, const char *digest, const char *want)
{
	OWN(fd) int fd = -1;
	uint64_t size = 0;
	char text[100];

	ok(rows, blob_open_at(rows->db.blobs_fd, digest, &fd, &size, &rows->err));
	assert_int_equal(size, strlen(want));
	assert_int_equal(read(fd, text, sizeof(text)), size);
	assert_memory_equal(text, want, size);
}

static void
bytes_come_back_by_their_digest(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	char digest[ID_SHA256_SIZE];

	put(rows, "abc", digest);
	assert_string_equal(
		digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	expect_bytes(rows, digest, "abc");
	assert_int_equal(count_incoming(rows), 0);
}

static void
an_empty_blob_is_a_blob(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	char digest[ID_SHA256_SIZE];

	put(rows, "", digest);
	expect_bytes(rows, digest, "");
}

static void
the_same_bytes_are_kept_once_from_memory_and_from_a_descriptor(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	char first[ID_SHA256_SIZE], second[ID_SHA256_SIZE];
	OWN(mem) char *path = NULL;
	OWN(fd) int fd = pipe_with("abc");
	uint64_t size = 0;
	struct stat before, after;

	put(rows, "abc", first);
	path = blob_file(rows, first);
	assert_int_equal(stat(path, &before), 0);
	ok(rows, blob_put_fd(&rows->db, fd, 100, second, &size, &rows->err));
	assert_int_equal(stat(path, &after), 0);
	assert_string_equal(first, second);
	assert_int_equal(size, 3);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(count_incoming(rows), 0);
}

static void
a_descriptor_is_read_to_its_end_and_no_further_than_its_limit(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	OWN(fd) int exact = pipe_with("12345");
	OWN(fd) int longer = pipe_with("123456");
	char digest[ID_SHA256_SIZE] = "untouched";
	uint64_t size = 77;

	assert_int_equal(
		blob_put_fd(&rows->db, longer, 5, digest, &size, &rows->err), ERR_TOO_LARGE);
	assert_string_equal(digest, "untouched");
	assert_int_equal(size, 77);
	assert_int_equal(count_incoming(rows), 0);
	ok(rows, blob_put_fd(&rows->db, exact, 5, digest, &size, &rows->err));
	assert_int_equal(size, 5);
	expect_bytes(rows, digest, "12345");
}

static void
what_is_no_digest_names_no_file(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	static const char *const bad[] = {"", "../mayfly.db", "ab",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
	uint64_t size;
	int fd = -1;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(blob_open_at(rows->db.blobs_fd, bad[i], &fd, &size, &rows->err),
			ERR_INVALID);
	assert_int_equal(
		blob_open_at(rows->db.blobs_fd, HASH_A, &fd, &size, &rows->err), ERR_NOT_FOUND);
	assert_int_equal(fd, -1);
}

static void
what_a_crash_left_half_written_is_removed_at_the_next_start(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	OWN(mem) char *half = mem_printf("%s/blobs/incoming/0123", rows->folder);
	char digest[ID_SHA256_SIZE];

	put(rows, "whole", digest);
	ok(rows, path_write(half, STR("ha"), 0600, &rows->err));
	store_sqlite_close(&rows->db);
	ok(rows, store_sqlite_open(&rows->db, rows->folder, &rows->err));
	assert_int_equal(count_incoming(rows), 0);
	expect_bytes(rows, digest, "whole");
}

/* ---- sweep ---- */

static unsigned
sweep(struct rows *rows, unsigned min_age_s) ON_STORE
{
	unsigned n = 12345;

	ok(rows, blob_sweep(&rows->db, min_age_s, &n, &rows->err));
	return n;
}

static void
blobs_that_no_row_names_are_removed_after_the_commit(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct row_version version = version_of("acme", "a", 1);
	char named[3][ID_SHA256_SIZE], loose[ID_SHA256_SIZE];

	put(rows, "source", named[0]);
	put(rows, "deps", named[1]);
	put(rows, "cached", named[2]);
	put(rows, "loose", loose);
	memcpy(version.source, named[0], ID_SHA256_SIZE);
	memcpy(version.deps, named[1], ID_SHA256_SIZE);
	add_function(rows, "acme", "a");
	ok(rows, row_version_insert(&rows->db, &version, &rows->err));
	ok(rows, row_build_put(&rows->db, "key", "acme", named[2], 1, &rows->err));
	assert_int_equal(sweep(rows, 0), 1);
	assert_true(has_blob(rows, loose));
	rows_commit(rows);
	blob_swept(&rows->db);
	assert_false(has_blob(rows, loose));
	for (int i = 0; i < 3; i++)
		assert_true(has_blob(rows, named[i]));
}

static void
young_blobs_are_left_to_the_row_that_is_about_to_name_them(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	char old[ID_SHA256_SIZE], young[ID_SHA256_SIZE], renewed[ID_SHA256_SIZE];

	put(rows, "old", old);
	put(rows, "young", young);
	put(rows, "renewed", renewed);
	make_old(rows, old, 100);
	make_old(rows, renewed, 100);
	put(rows, "renewed", renewed);
	assert_int_equal(sweep(rows, 60), 1);
	blob_swept(&rows->db);
	assert_false(has_blob(rows, old));
	assert_true(has_blob(rows, young));
	assert_true(has_blob(rows, renewed));
}

static void
a_blob_whose_row_comes_back_with_an_undone_transaction_stays(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct row_version version = version_of("acme", "a", 1);

	put(rows, "source", version.source);
	add_function(rows, "acme", "a");
	ok(rows, row_version_insert(&rows->db, &version, &rows->err));
	rows_commit(rows);
	ok(rows, row_function_delete(&rows->db, "acme", "a", &rows->err));
	assert_int_equal(sweep(rows, 0), 1);
	store_sqlite_rollback(&rows->db);
	blob_swept(&rows->db);
	assert_true(has_blob(rows, version.source));
}

UNIT_TESTS(it(bytes_come_back_by_their_digest), it(an_empty_blob_is_a_blob),
	it(the_same_bytes_are_kept_once_from_memory_and_from_a_descriptor),
	it(a_descriptor_is_read_to_its_end_and_no_further_than_its_limit),
	it(what_is_no_digest_names_no_file),
	it(what_a_crash_left_half_written_is_removed_at_the_next_start),
	it(blobs_that_no_row_names_are_removed_after_the_commit),
	it(young_blobs_are_left_to_the_row_that_is_about_to_name_them),
	it(a_blob_whose_row_comes_back_with_an_undone_transaction_stays))
