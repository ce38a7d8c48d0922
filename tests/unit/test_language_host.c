/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <sys/stat.h>

#include "runtime/language_host.h"

static void
own_words(struct language_words *words)
{
	language_words_done(words);
}

static void
on_program(const char *path, const char *place, void *arg)
{
	language_words_add(arg, path);
}

static void
link_to(const char *folder, const char *name, const char *target)
{
	OWN(mem) char *path = path_join(folder, name);

	assert_int_equal(symlink(target, path), 0);
}

static void
a_program_is_found_once_by_its_canonical_path(void **state)
{
	OWN(folder) char *folder = unit_folder();
	OWN(words) struct language_words folders = {0};
	OWN(words) struct language_words found = {0};
	OWN(mem) char *canonical = realpath("/bin/true", NULL);
	OWN(mem) char *script = path_join(folder, "node12");

	link_to(folder, "node", "/bin/true");
	link_to(folder, "node20", "/bin/true");
	link_to(folder, "nodemon", "/bin/false");
	link_to(folder, "node18", "/nowhere");
	assert_int_equal(path_write(script, STR("#!/bin/sh\n"), 0755, NULL), 0);
	language_words_add(&folders, "/nowhere");
	language_words_add(&folders, folder);
	language_host_each(&folders, "node", on_program, &found);
	assert_int_equal(found.n, 1);
	assert_string_equal(found.at[0], canonical);
}

static void
a_program_is_asked_and_its_failure_seen(void **state)
{
	OWN(buf) struct buf answer = BUF_INIT;
	const char *const echo[] = {"/bin/sh", "-c", "echo yes", NULL};
	const char *const fails[] = {"/bin/sh", "-c", "echo no; exit 1", NULL};
	const char *const away[] = {"/nowhere", NULL};
	const char *const floods[] = {"/bin/sh", "-c", "yes", NULL};

	assert_true(language_host_ask(echo, &answer));
	assert_string_equal(answer.at, "yes\n");
	assert_false(language_host_ask(fails, &answer));
	assert_false(language_host_ask(away, &answer));
	assert_false(language_host_ask(floods, &answer));
}

static void
standard_folders_come_before_those_of_the_configuration(void **state)
{
	OWN(words) struct language_words folders = {0};
	const char *const more[] = {"/home/x/bin", "/usr/bin", NULL};

	setenv("PATH", "/first:relative::/usr/bin", 1);
	language_host_folders(more, &folders);
	assert_string_equal(folders.at[0], "/first");
	assert_string_equal(folders.at[1], "/usr/bin");
	assert_string_equal(folders.at[2], "/usr/local/bin");
	assert_string_equal(folders.at[folders.n - 1], "/home/x/bin");
	for (size_t i = 0; i < folders.n; i++)
		assert_int_equal(folders.at[i][0], '/');
}

UNIT_TESTS(it(a_program_is_found_once_by_its_canonical_path),
	it(a_program_is_asked_and_its_failure_seen),
	it(standard_folders_come_before_those_of_the_configuration))
