/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/id.h"
#include "sandbox/unpack.h"
#include "sandbox/unpack_report.h"

static void
write_file(const char *folder, const char *name, struct str bytes)
{
	OWN(mem) char *path = path_join(folder, name);

	assert_int_equal(path_write(path, bytes, 0644, NULL), 0);
}

static char *
report_on(const char *folder)
{
	OWN(fd) int tree = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct buf report = BUF_INIT;

	assert_true(tree >= 0);
	assert_int_equal(unpack_report(tree, &report, NULL), 0);
	return report.at ? buf_take(&report, NULL) : str_dup(STR(""));
}

static void
a_tree_without_manifests_has_an_empty_report(void **state)
{
	OWN(folder) char *folder = unit_folder();

	write_file(folder, "index.js", STR("x"));
	OWN(mem) char *report = report_on(folder);

	assert_string_equal(report, "");
}

static void
manifests_are_told_with_digest_size_and_text(void **state)
{
	OWN(folder) char *folder = unit_folder();
	char package[ID_SHA256_SIZE], lock[ID_SHA256_SIZE], list[ID_SHA256_SIZE];

	id_sha256(STR("{\n}"), package);
	id_sha256(STR("lock"), lock);
	id_sha256(STR(""), list);
	write_file(folder, "package.json", STR("{\n}"));
	write_file(folder, "package-lock.json", STR("lock"));
	write_file(folder, "requirements.txt", STR(""));
	OWN(mem) char *modules = path_join(folder, "node_modules");
	assert_int_equal(mkdir(modules, 0755), 0);
	OWN(mem) char *report = report_on(folder);
	OWN(mem)
	char *expected = mem_printf("file package.json %s 3\ntext package.json 3\n{\n}\n"
				    "file package-lock.json %s 4\n"
				    "file requirements.txt %s 0\ntext requirements.txt 0\n\n"
				    "folder node_modules\n",
		package, lock, list);

	assert_string_equal(report, expected);
}

static void
a_manifest_that_is_too_long_has_no_text(void **state)
{
	OWN(folder) char *folder = unit_folder();
	OWN(mem) char *bytes = mem_new(UNPACK_TEXT_MAX + 1);

	memset(bytes, 'a', UNPACK_TEXT_MAX + 1);
	write_file(folder, "package.json", str_n(bytes, UNPACK_TEXT_MAX));
	write_file(folder, "requirements.txt", str_n(bytes, UNPACK_TEXT_MAX + 1));
	OWN(mem) char *report = report_on(folder);

	assert_non_null(strstr(report, "text package.json 65536\n"));
	assert_non_null(strstr(report, " 65537\n"));
	assert_null(strstr(report, "text requirements.txt"));
}

static void
links_and_folders_are_no_manifests(void **state)
{
	OWN(folder) char *folder = unit_folder();
	OWN(mem) char *link = path_join(folder, "package.json");
	OWN(mem) char *inner = path_join(folder, "requirements.txt");
	OWN(mem) char *modules = path_join(folder, "node_modules");

	write_file(folder, "other.json", STR("{}"));
	assert_int_equal(symlink("other.json", link), 0);
	assert_int_equal(mkdir(inner, 0755), 0);
	assert_int_equal(symlink("/", modules), 0);
	OWN(mem) char *report = report_on(folder);

	assert_string_equal(report, "");
}

UNIT_TESTS(it(a_tree_without_manifests_has_an_empty_report),
	it(manifests_are_told_with_digest_size_and_text),
	it(a_manifest_that_is_too_long_has_no_text), it(links_and_folders_are_no_manifests))
