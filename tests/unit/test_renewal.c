/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <string.h>

#include "runtime/renewal.h"

static void
what_is_counted_below_is_counted_above(void **state)
{
	struct renewal_tally *above = renewal_tally_new(NULL);
	struct renewal_tally *one = renewal_tally_new(above), *two = renewal_tally_new(above);

	renewal_count(one, 80);
	renewal_count(two, 3000000);
	renewal_count_discard(two, RENEWAL_CAUSE_ONCE, "");
	renewal_count_discard(two, (enum renewal_cause)KEEPER_CAUSE_FILES, "a file");
	assert_string_equal(above->last_spoilt, "a file");
	assert_string_equal(one->last_spoilt, "");
	assert_int_equal(one->n_renewed, 1);
	assert_int_equal(above->n_renewed, 2);
	assert_int_equal(above->renewed_us, 3000080);
	assert_int_equal(renewal_n_discarded(one), 0);
	assert_int_equal(renewal_n_discarded(above), 2);
	assert_int_equal(above->buckets[0], 0);
	assert_int_equal(above->buckets[1], 1);
	assert_int_equal(above->buckets[RENEWAL_BUCKETS - 2], 1);
	assert_int_equal(above->buckets[RENEWAL_BUCKETS - 1], 2);
	renewal_tally_release(above);
	renewal_tally_release(two);
	renewal_count(one, 1);
	assert_int_equal(one->above->n_renewed, 3);
	renewal_tally_release(one);
}

static void
every_cause_has_a_word_of_its_own(void **state)
{
	for (int i = 0; i < RENEWAL_CAUSES; i++) {
		assert_non_null(renewal_cause_word((enum renewal_cause)i));
		for (int j = 0; j < i; j++)
			assert_string_not_equal(renewal_cause_word((enum renewal_cause)i),
				renewal_cause_word((enum renewal_cause)j));
	}
	assert_string_equal(renewal_cause_word(RENEWAL_CAUSES), "unknown");
}

UNIT_TESTS(it(what_is_counted_below_is_counted_above), it(every_cause_has_a_word_of_its_own))
