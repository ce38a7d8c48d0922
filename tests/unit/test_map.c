/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/map.h"

static int one, two;

static void
what_was_put_is_found_until_it_is_removed(void **state)
{
	OWN(map) struct map map = MAP_INIT;

	assert_null(map_find(&map, STR("a")));
	assert_null(map_remove(&map, STR("a")));
	map_put(&map, STR("a"), &one);
	assert_ptr_equal(map_find(&map, STR("a")), &one);
	assert_null(map_find(&map, STR("b")));
	map_put(&map, STR("a"), &two);
	assert_ptr_equal(map_find(&map, STR("a")), &two);
	assert_int_equal(map.len, 1);
	assert_ptr_equal(map_remove(&map, STR("a")), &two);
	assert_null(map_find(&map, STR("a")));
	assert_int_equal(map.len, 0);
}

static void
keys_are_bytes_and_are_copied(void **state)
{
	OWN(map) struct map map = MAP_INIT;
	char key[] = "k\0y";

	map_put(&map, str_n(key, 3), &one);
	map_put(&map, STR_NONE, &two);
	key[0] = 'x';
	assert_ptr_equal(map_find(&map, str_n("k\0y", 3)), &one);
	assert_null(map_find(&map, STR("k")));
	assert_ptr_equal(map_find(&map, STR("")), &two);
}

static struct str
number_key(uint32_t *number)
{
	return str_n(number, sizeof(*number));
}

/* Against a plain array of flags: a long mix of putting and removing, so that runs of neighbours
 * grow, break and close. */
static void
a_long_mix_keeps_exactly_what_it_should(void **state)
{
	OWN(map) struct map map = MAP_INIT;
	static bool is_in[4096];
	uint32_t mix = 12345;
	size_t n = 0;

	for (int i = 0; i < 200000; i++) {
		uint32_t key;

		mix = mix * 1664525 + 1013904223;
		key = mix >> 20;
		if (mix & 0x800)
			map_put(&map, number_key(&key), &is_in[key]);
		else
			assert_int_equal(map_remove(&map, number_key(&key)) != NULL, is_in[key]);
		is_in[key] = mix & 0x800;
	}
	for (uint32_t key = 0; key < 4096; key++) {
		assert_ptr_equal(map_find(&map, number_key(&key)), is_in[key] ? &is_in[key] : NULL);
		n += is_in[key];
	}
	assert_int_equal(map.len, n);
}

static void
each_entry_is_visited_once(void **state)
{
	OWN(map) struct map map = MAP_INIT;
	int seen[100] = {0};

	map_each (&map, entry)
		fail();
	for (uint32_t i = 0; i < 100; i++)
		map_put(&map, number_key(&i), &seen[i]);
	map_each (&map, entry)
		++*(int *)entry->value;
	for (int i = 0; i < 100; i++)
		assert_int_equal(seen[i], 1);
}

static void
a_loop_over_entries_can_be_left(void **state)
{
	OWN(map) struct map map = MAP_INIT;
	int n = 0;

	map_put(&map, STR("a"), &one);
	map_put(&map, STR("b"), &two);
	map_each (&map, entry) {
		n++;
		break;
	}
	assert_int_equal(n, 1);
}

UNIT_TESTS(it(what_was_put_is_found_until_it_is_removed), it(keys_are_bytes_and_are_copied),
	it(a_long_mix_keeps_exactly_what_it_should), it(each_entry_is_visited_once),
	it(a_loop_over_entries_can_be_left))
