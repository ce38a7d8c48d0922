/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "connect/vcd_seen.h"

static bool
seen_number(struct vcd_seen *seen, unsigned number)
{
	char id[16];

	snprintf(id, sizeof(id), "id-%u", number);
	return vcd_seen_add(seen, str_of(id));
}

static void
an_id_is_new_once(void **state)
{
	struct vcd_seen seen;

	vcd_seen_init(&seen);
	assert_false(seen_number(&seen, 1));
	assert_true(seen_number(&seen, 1));
	assert_false(seen_number(&seen, 2));
	assert_true(seen_number(&seen, 1));
	vcd_seen_done(&seen);
}

static void
the_one_that_came_longest_ago_is_forgotten(void **state)
{
	struct vcd_seen seen;

	vcd_seen_init(&seen);
	for (unsigned i = 0; i < VCD_SEEN_MAX; i++)
		assert_false(seen_number(&seen, i));
	assert_true(seen_number(&seen, 0));
	assert_false(seen_number(&seen, VCD_SEEN_MAX)); /* 1 goes, 0 came again since */
	assert_int_equal(seen.ids.len, VCD_SEEN_MAX);
	assert_true(seen_number(&seen, 0));
	assert_true(seen_number(&seen, 2));
	assert_false(seen_number(&seen, 1));
	vcd_seen_done(&seen);
}

UNIT_TESTS(it(an_id_is_new_once), it(the_one_that_came_longest_ago_is_forgotten))
