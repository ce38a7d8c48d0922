/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "sandbox/doctor.h"

#define FINDINGS_MAX 64

static struct doctor_finding findings[FINDINGS_MAX];
static size_t n_findings;

static int
examine(void **state)
{
	n_findings = doctor_examine(findings, FINDINGS_MAX);
	return 0;
}

static const struct doctor_finding *
finding(const char *name)
{
	for (size_t i = 0; i < n_findings; i++) {
		if (strcmp(findings[i].name, name) == 0)
			return &findings[i];
	}
	fail_msg("no finding %s", name);
	return NULL;
}

static void
every_finding_has_a_name_of_its_own_and_a_reason(void **state)
{
	assert_in_range(n_findings, 25, FINDINGS_MAX - 1);
	for (size_t i = 0; i < n_findings; i++) {
		assert_true(findings[i].why[0] != '\0');
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(findings[i].name, findings[k].name);
	}
}

static void
what_mayfly_needs_is_there(void **state)
{
	for (size_t i = 0; i < n_findings; i++) {
		if (findings[i].is_needed && !findings[i].is_there)
			fail_msg("%s: %s", findings[i].name, findings[i].why);
	}
	assert_true(finding("seccomp")->is_there);
	assert_true(finding("namespace.user")->is_there);
}

static void
a_trial_leaves_no_trace(void **state)
{
	char host[64], before[64];
	struct stat st;

	gethostname(before, sizeof(before));
	examine(state);
	gethostname(host, sizeof(host));
	assert_string_equal(host, before);
	assert_int_equal(stat("/tmp/mayfly-doctor", &st), -1);
	assert_int_equal(stat("/mayfly-doctor", &st), -1);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
}

static void
no_more_findings_are_written_than_there_is_room_for(void **state)
{
	struct doctor_finding few[4] = {[3] = {.name = "untouched"}};

	assert_int_equal(doctor_examine(few, 3), 3);
	assert_string_equal(few[3].name, "untouched");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		it(every_finding_has_a_name_of_its_own_and_a_reason),
		it(what_mayfly_needs_is_there),
		it(a_trial_leaves_no_trace),
		it(no_more_findings_are_written_than_there_is_room_for),
	};

	return cmocka_run_group_tests(tests, examine, NULL);
}
