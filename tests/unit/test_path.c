/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <sys/stat.h>

static void
put_file(const char *folder, const char *name, const char *text)
{
	OWN(mem) char *path = path_join(folder, name);

	assert_int_equal(path_write(path, str_of(text), 0640, NULL), 0);
}

static bool
has(const char *folder, const char *name)
{
	OWN(mem) char *path = path_join(folder, name);

	return access(path, F_OK) == 0;
}

static void
parts_are_joined_by_one_slash(void **state)
{
	OWN(mem) char *plain = path_join("a", "b");
	OWN(mem) char *slashed = path_join("a/", "b");
	OWN(mem) char *root = path_join("/", "b");

	assert_string_equal(plain, "a/b");
	assert_string_equal(slashed, "a/b");
	assert_string_equal(root, "/b");
}

static void
folders_are_made_with_those_above_them(void **state)
{
	OWN(folder) char *top = unit_folder();
	OWN(mem) char *deep = path_join(top, "a/b/c");

	assert_int_equal(path_make(deep, 0755, NULL), 0);
	assert_int_equal(path_make(deep, 0755, NULL), 0);
	assert_true(has(top, "a/b/c"));
}

static void
a_file_in_the_way_of_a_folder_is_an_error(void **state)
{
	OWN(folder) char *top = unit_folder();
	OWN(mem) char *below = path_join(top, "file/x");
	OWN(mem) char *same = path_join(top, "file");
	struct err err = {0};

	put_file(top, "file", "x");
	assert_int_equal(path_make(below, 0755, &err), ERR_SYSTEM);
	assert_int_equal(path_make(same, 0755, &err), ERR_SYSTEM);
	assert_non_null(strstr(err.text, "Not a directory"));
}

static void
a_written_file_is_read_back_with_its_mode(void **state)
{
	OWN(folder) char *top = unit_folder();
	OWN(mem) char *path = path_join(top, "file");
	OWN(buf) struct buf bytes = BUF_INIT;
	struct stat st;

	assert_int_equal(path_write(path, str_n("a\0b", 3), 0600, NULL), 0);
	assert_int_equal(path_write(path, str_n("c\0d!", 4), 0640, NULL), 0);
	assert_int_equal(path_read(path, 4, &bytes, NULL), 0);
	assert_int_equal(bytes.len, 4);
	assert_memory_equal(bytes.at, "c\0d!", 4);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
}

static void
a_failed_write_leaves_the_old_file_and_nothing_beside_it(void **state)
{
	OWN(folder) char *top = unit_folder();
	OWN(mem) char *path = path_join(top, "taken");
	OWN(dir) DIR *folder = NULL;
	int n = 0;

	assert_int_equal(path_make(path, 0755, NULL), 0);
	assert_int_equal(path_write(path, STR("x"), 0600, NULL), ERR_SYSTEM);
	folder = opendir(top);
	while (readdir(folder))
		n++;
	assert_int_equal(n, 3);
}

static void
reading_says_what_is_absent_and_what_is_too_large(void **state)
{
	OWN(folder) char *top = unit_folder();
	OWN(mem) char *path = path_join(top, "file");
	OWN(buf) struct buf bytes = BUF_INIT;

	assert_int_equal(path_read(path, 10, &bytes, NULL), ERR_NOT_FOUND);
	put_file(top, "file", "12345678901");
	assert_int_equal(path_read(path, 10, &bytes, NULL), ERR_TOO_LARGE);
	assert_int_equal(path_read(top, 10, &bytes, NULL), ERR_SYSTEM);
}

static void
a_tree_is_removed_and_what_its_links_point_to_stays(void **state)
{
	OWN(folder) char *top = unit_folder();
	OWN(folder) char *other = unit_folder();
	OWN(mem) char *tree = path_join(top, "tree");
	OWN(mem) char *deep = path_join(top, "tree/a/b");
	OWN(mem) char *link = path_join(top, "tree/a/link");

	put_file(other, "stays", "x");
	assert_int_equal(path_make(deep, 0755, NULL), 0);
	put_file(deep, "file", "x");
	assert_int_equal(symlink(other, link), 0);
	assert_int_equal(chmod(deep, 0), 0);
	assert_int_equal(path_remove(tree, NULL), 0);
	assert_false(has(top, "tree"));
	assert_true(has(other, "stays"));
	assert_int_equal(path_remove(tree, NULL), 0);
}

static void
the_environment_says_where_our_own_parts_are(void **state)
{
	setenv("MAYFLY_LIBEXEC", "/somewhere/libexec", 1);
	unsetenv("MAYFLY_SHARE");
	assert_string_equal(path_libexec(), "/somewhere/libexec");
	assert_non_null(strstr(path_share(), "/../share/mayfly"));
}

UNIT_TESTS(it(parts_are_joined_by_one_slash), it(folders_are_made_with_those_above_them),
	it(a_file_in_the_way_of_a_folder_is_an_error),
	it(a_written_file_is_read_back_with_its_mode),
	it(a_failed_write_leaves_the_old_file_and_nothing_beside_it),
	it(reading_says_what_is_absent_and_what_is_too_large),
	it(a_tree_is_removed_and_what_its_links_point_to_stays),
	it(the_environment_says_where_our_own_parts_are))
