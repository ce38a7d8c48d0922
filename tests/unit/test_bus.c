/* SPDX-License-Identifier: Apache-2.0 */
/* What every implementation of bus.h must do: bus_kit.h says which one is asked. */
#include "bus_kit.h"

#include <string.h>

#include "base/clock.h"
#include "store/rows.h"

/* ---- put, hand over, settle ---- */

static void
what_is_put_is_handed_over(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = bus_kit_take(kit, "a", 10);

	bus_kit_put(kit, "a", 1);
	bus_kit_taker_wait(taker, 1);
	assert_str(taker->taken[0]->row.body, "message 1");
	assert_false(taker->taken[0]->is_foreign);
	bus_kit_settle(taker, 0);
}

static void
messages_come_in_the_order_in_which_they_were_put(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = bus_kit_take(kit, "a", 500);

	bus_kit_put_range(kit, "a", 1, 500);
	bus_kit_taker_wait(taker, 500);
	for (unsigned i = 0; i < 500; i++)
		assert_int_equal(bus_kit_number(taker->taken[i]->row.id), i + 1);
}

static void
what_is_settled_never_comes_again(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = bus_kit_take(kit, "a", 10);
	OWN(bus_kit_taker) struct bus_kit_taker *again = NULL;

	bus_kit_put_range(kit, "a", 1, 3);
	bus_kit_taker_wait(taker, 3);
	bus_kit_settle(taker, 0);
	bus_kit_settle(taker, 2);
	bus_kit_reopen(kit);
	again = bus_kit_take(kit, "a", 10);
	bus_kit_taker_wait(again, 1);
	bus_kit_rest(kit, 50);
	bus_kit_expect(again, "2");
}

UNIT_TESTS(it(what_is_put_is_handed_over), it(messages_come_in_the_order_in_which_they_were_put),
	it(what_is_settled_never_comes_again))
