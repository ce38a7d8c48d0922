/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdio.h>

#include "base/id.h"
#include "bus/bus_line.h"

enum { PLACES = 500, STEPS = 20000 };

struct item {
	struct bus_place place;
	char id[16];
	int is_in;
};

static struct item *
items_new(void)
{
	struct item *items = mem_new(PLACES * sizeof(*items));

	for (unsigned i = 0; i < PLACES; i++) {
		snprintf(items[i].id, sizeof(items[i].id), "%05u", i);
		items[i].place = (struct bus_place){i * 7919 % 100, items[i].id};
	}
	return items;
}

static void
check_order(const struct bus_line *line, const struct item *items)
{
	unsigned n = 0;

	for (unsigned i = 0; i < PLACES; i++)
		n += items[i].is_in;
	assert_int_equal(line->n, n);
	for (unsigned i = 1; i < n; i++)
		assert_true(bus_line_compare(line->places[line->first + i - 1],
				    line->places[line->first + i]) < 0);
}

static void
places_stand_by_time_and_then_by_id(void **state)
{
	struct bus_line line = BUS_LINE_NONE;
	struct bus_place places[] = {{5, "b"}, {5, "a"}, {1, "z"}, {9, "a"}};
	static const char *const order[] = {"z", "a", "b", "a"};

	assert_null(bus_line_first(&line));
	assert_null(bus_line_last(&line));
	for (unsigned i = 0; i < 4; i++)
		bus_line_add(&line, &places[i]);
	assert_ptr_equal(bus_line_last(&line), &places[3]);
	for (unsigned i = 0; i < 4; i++) {
		assert_string_equal(bus_line_first(&line)->id, order[i]);
		bus_line_remove(&line, bus_line_first(&line));
	}
	assert_null(bus_line_first(&line));
	bus_line_done(&line);
}

static void
order_is_kept_whatever_is_added_and_removed(void **state)
{
	OWN(mem) struct item *items = items_new();
	struct bus_line line = BUS_LINE_NONE;
	uint16_t random[STEPS];

	id_random(random, sizeof(random));
	for (unsigned i = 0; i < STEPS; i++) {
		struct item *item = &items[random[i] % PLACES];

		if (item->is_in)
			bus_line_remove(&line, &item->place);
		else
			bus_line_add(&line, &item->place);
		item->is_in = !item->is_in;
		if (i % 50 == 0)
			check_order(&line, items);
	}
	bus_line_done(&line);
}

static void
a_line_that_moves_on_does_not_grow(void **state)
{
	OWN(mem) struct item *items = items_new();
	struct bus_line line = BUS_LINE_NONE;

	for (unsigned i = 0; i < STEPS; i++) {
		struct item *item = &items[i % PLACES];

		item->place.when_ms = i;
		bus_line_add(&line, &item->place);
		if (i >= 10)
			bus_line_remove(&line, bus_line_first(&line));
	}
	assert_int_equal(line.n, 10);
	assert_true(line.cap <= 64);
	bus_line_done(&line);
}

UNIT_TESTS(it(places_stand_by_time_and_then_by_id), it(order_is_kept_whatever_is_added_and_removed),
	it(a_line_that_moves_on_does_not_grow))
