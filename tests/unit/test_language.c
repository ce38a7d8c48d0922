/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <sys/stat.h>

#include "runtime/language.h"

static char *libexec;

static void
put_program(const char *name)
{
	OWN(mem) char *path = path_join(libexec, name);

	assert_int_equal(path_write(path, STR("x"), 0755, NULL), 0);
}

/* A host with our own programs, one after the other. */
static int
setup(void **state)
{
	OWN(mem) char *share = NULL;
	OWN(mem) char *runtimes = NULL;
	struct err err = {0};

	libexec = unit_folder();
	setenv("MAYFLY_LIBEXEC", libexec, 1);
	share = path_join(libexec, "share");
	setenv("MAYFLY_SHARE", share, 1);
	assert_int_equal(language_scan(NULL, &err), ERR_NOT_FOUND);
	assert_non_null(strstr(err.text, "mayfly-pack"));
	put_program("mayfly-pack");
	put_program("mayfly-exec");
	put_program("mayfly-lambda");
	put_program("mayfly-node.node");
	put_program("mayfly_fork.so");
	put_program("mayfly-unpack");
	assert_int_equal(language_scan(NULL, &err), ERR_NOT_FOUND);
	runtimes = path_join(share, "runtimes");
	assert_int_equal(path_make(runtimes, 0755, NULL), 0);
	if (language_scan(NULL, &err) < 0)
		fail_msg("%s", err.text);
	return 0;
}

static int
teardown(void **state)
{
	path_remove(libexec, NULL);
	free(libexec);
	return 0;
}

static void
exec_and_native_are_always_there(void **state)
{
	const struct language *exec = language_find("exec");
	const struct language *native = language_find("native");

	assert_non_null(exec);
	assert_non_null(native);
	assert_string_equal(exec->command[0], "/runtime/mayfly-exec");
	assert_string_equal(native->command[0], "/runtime/mayfly-lambda");
	assert_string_equal(native->handler, "bootstrap");
	assert_null(exec->build);
	assert_null(exec->command[1]);
}

static void
a_name_that_nobody_has_is_not_found(void **state)
{
	assert_null(language_find("cobol"));
	assert_null(language_find(""));
}

static void
each_language_has_what_a_sandbox_needs(void **state)
{
	const struct language *language;
	size_t n = 0;

	for (size_t i = 0; (language = language_each(i)); i++, n++) {
		assert_ptr_equal(language_find(language->name), language);
		assert_non_null(language_find(language->family));
		assert_true(language->version[0]);
		assert_non_null(language->handler);
		assert_true(language->file[0]);
		assert_true(language->command[0][0] == '/');
		assert_non_null(language->root);
		assert_true(language->memory_floor_mib > 0);
		if (language->build)
			assert_non_null(language->build->manifests[0]);
	}
	assert_true(n >= 2);
}

static void
a_family_is_its_newest_language(void **state)
{
	const struct language *language;

	for (size_t i = 0; (language = language_each(i)); i++) {
		const struct language *newest = language_find(language->family);

		assert_true(strverscmp(newest->version, language->version) >= 0);
	}
}

static void
each_root_is_planned_once(void **state)
{
	const struct language *language;
	size_t n, found = 0;
	const struct root_plan *plans = language_roots(&n);

	assert_true(n >= 2);
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(plans[i].name, plans[j].name);
		found += &plans[i] == language_unpack_root();
	}
	assert_int_equal(found, 1);
	for (size_t i = 0; (language = language_each(i)); i++) {
		assert_in_range(
			(uintptr_t)language->root, (uintptr_t)plans, (uintptr_t)(plans + n - 1));
		if (language->build)
			assert_in_range((uintptr_t)language->build->root, (uintptr_t)plans,
				(uintptr_t)(plans + n - 1));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {it(exec_and_native_are_always_there),
		it(a_name_that_nobody_has_is_not_found), it(each_language_has_what_a_sandbox_needs),
		it(a_family_is_its_newest_language), it(each_root_is_planned_once)};

	return cmocka_run_group_tests(tests, setup, teardown);
}
