/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unit - what every unit test includes: cmocka with the headers that it wants before it.
 *
 *	static void
 *	a_sentence_about_behaviour(void **state)
 *	{
 *		assert_int_equal(...);
 *	}
 *
 *	UNIT_TESTS(it(a_sentence_about_behaviour), ...)
 *
 * A temporary folder: `OWN(folder) char *folder = unit_folder();` is removed with its scope.
 */
#ifndef MAYFLY_UNIT_H
#define MAYFLY_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/own.h"
#include "base/path.h"

#define it(name) cmocka_unit_test(name)

#define UNIT_TESTS(...)                                                                            \
	int main(void)                                                                             \
	{                                                                                          \
		const struct CMUnitTest tests[] = {__VA_ARGS__};                                   \
                                                                                                   \
		return cmocka_run_group_tests(tests, NULL, NULL);                                  \
	}

#define assert_str(view, text)                                                                     \
	do {                                                                                       \
		struct str view_ = (view);                                                         \
                                                                                                   \
		assert_int_equal(view_.len, strlen(text));                                         \
		assert_memory_equal(view_.at ? view_.at : "", text, view_.len);                    \
	} while (0)

static inline char *
unit_folder(void)
{
	char *folder = mem_printf("/tmp/mayfly-unit-XXXXXX");

	assert_non_null(mkdtemp(folder));
	return folder;
}

static inline void
own_folder(char **folder)
{
	path_remove(*folder, NULL);
	free(*folder);
}

#endif
