/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/str.h"

static void
the_cause_is_filled_and_its_code_given_back(void **state)
{
	struct err err = {0};

	assert_int_equal(err_set(&err, ERR_NOT_FOUND, "no function %s", "hello"), ERR_NOT_FOUND);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_string_equal(err.text, "no function hello");
	assert_string_equal(err.field, "");
	assert_int_equal(err.sys, 0);
}

static void
who_does_not_want_the_text_passes_null(void **state)
{
	assert_int_equal(err_set(NULL, ERR_CONFLICT, "x"), ERR_CONFLICT);
	assert_int_equal(err_field(NULL, ERR_INVALID, "f", "x"), ERR_INVALID);
	assert_int_equal(err_sys(NULL, "x"), ERR_SYSTEM);
	assert_int_equal(err_wrap(NULL, ERR_TIMEOUT, "x"), ERR_TIMEOUT);
}

static void
a_system_call_tells_its_errno_as_a_sentence(void **state)
{
	struct err err = {0};

	errno = EACCES;
	assert_int_equal(err_sys(&err, "mounting %s", "/proc"), ERR_SYSTEM);
	assert_string_equal(err.text, "mounting /proc: Permission denied");
	assert_int_equal(err.sys, EACCES);
}

static void
wrapping_puts_the_context_before_and_keeps_the_rest(void **state)
{
	struct err err = {0};
	int rc = err_field(&err, ERR_INVALID, "limits.memory_mib", "must be 16 to 4096");

	assert_int_equal(err_wrap(&err, rc, "function %s", "hello"), ERR_INVALID);
	assert_string_equal(err.text, "function hello: must be 16 to 4096");
	assert_string_equal(err.field, "limits.memory_mib");
	assert_int_equal(err.code, ERR_INVALID);
}

static void
long_texts_are_cut_and_terminated(void **state)
{
	struct err err = {0};
	char longer[1000];

	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	err_field(&err, ERR_INVALID, longer, "%s", longer);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	assert_int_equal(strlen(err.field), sizeof(err.field) - 1);
	err_wrap(&err, ERR_INVALID, "%s", longer);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	errno = ENOENT;
	err_sys(&err, "%s", longer);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
}

static void
every_code_has_a_word_of_its_own_and_is_found_by_it(void **state)
{
	for (int code = -1; code > -ERR_COUNT_; code--) {
		assert_int_equal(err_from_word(err_word(code)), code);
		assert_in_range(err_http_status(code), 400, 599);
		assert_in_range(err_exit_code(code), 1, 7);
	}
	assert_int_equal(err_from_word("no_such_word"), 0);
	assert_int_equal(err_from_word("ok"), 0);
}

static void
the_code_decides_status_exit_code_and_blame(void **state)
{
	assert_int_equal(err_http_status(ERR_TIMEOUT), 504);
	assert_int_equal(err_exit_code(ERR_TIMEOUT), 7);
	assert_int_equal(err_blame(ERR_TIMEOUT), ERR_BLAME_FUNCTION);
	assert_int_equal(err_blame(ERR_RATE), ERR_BLAME_CALLER);
	assert_int_equal(err_blame(ERR_SYSTEM), ERR_BLAME_PLATFORM);
	assert_string_equal(err_word(0), "ok");
	assert_int_equal(err_exit_code(0), 0);
}

static void
a_number_that_is_no_code_is_our_own_fault(void **state)
{
	assert_string_equal(err_word(7), "internal");
	assert_string_equal(err_word(-ERR_COUNT_), "internal");
	assert_int_equal(err_http_status(-100000), 500);
}

static int
status_of_a_child_that_breaks_a_promise(void)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		close(STDERR_FILENO);
		must(1 + 1 == 3);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void
a_broken_promise_ends_the_program(void **state)
{
	int status = status_of_a_child_that_breaks_a_promise();

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void
a_text_is_utf8_whatever_it_quotes_and_wherever_it_is_cut(void **state)
{
	char letters[241];
	struct err err = {0};

	err_set(&err, ERR_FUNCTION, "a \xff\xc3 b \xc3\xa4");
	assert_string_equal(err.text, "a ?? b \xc3\xa4");
	for (size_t i = 0; i + 1 < sizeof(letters); i += 2)
		memcpy(letters + i, "\xc3\xa4", 2);
	letters[240] = '\0';
	err_set(&err, ERR_FUNCTION, "%s", letters);
	assert_int_equal(strlen(err.text), 239);
	assert_true(str_is_utf8(str_of(err.text)));
	assert_int_equal(err.text[238], '?');
}

UNIT_TESTS(it(the_cause_is_filled_and_its_code_given_back),
	it(who_does_not_want_the_text_passes_null), it(a_system_call_tells_its_errno_as_a_sentence),
	it(wrapping_puts_the_context_before_and_keeps_the_rest),
	it(long_texts_are_cut_and_terminated),
	it(every_code_has_a_word_of_its_own_and_is_found_by_it),
	it(the_code_decides_status_exit_code_and_blame),
	it(a_number_that_is_no_code_is_our_own_fault), it(a_broken_promise_ends_the_program),
	it(a_text_is_utf8_whatever_it_quotes_and_wherever_it_is_cut))
