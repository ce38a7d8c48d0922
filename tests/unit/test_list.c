/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/list.h"

struct item {
	int number;
	struct list link;
};

static struct item *
item_new(struct list *list, int number)
{
	struct item *item = mem_new(sizeof(*item));

	item->number = number;
	list_push_back(list, &item->link);
	return item;
}

static void
free_all(struct list *list)
{
	struct item *item;

	list_each (list, item, link) {
		list_remove(&item->link);
		free(item);
	}
}

static void
an_empty_list_has_nothing_to_visit(void **state)
{
	struct list list;
	struct item *item;

	list_init(&list);
	assert_true(list_is_empty(&list));
	assert_null(list_first(&list, struct item, link));
	assert_null(list_last(&list, struct item, link));
	list_each (&list, item, link)
		fail();
}

static void
items_come_in_the_order_in_which_they_stand(void **state)
{
	struct list list;
	struct item *item;
	int expected = 1;

	list_init(&list);
	item_new(&list, 2);
	item_new(&list, 3);
	item = item_new(&list, 1);
	list_remove(&item->link);
	list_push_front(&list, &item->link);
	assert_int_equal(list_first(&list, struct item, link)->number, 1);
	assert_int_equal(list_last(&list, struct item, link)->number, 3);
	list_each (&list, item, link)
		assert_int_equal(item->number, expected++);
	assert_int_equal(expected, 4);
	free_all(&list);
}

static void
the_item_at_hand_may_be_freed(void **state)
{
	struct list list;
	struct item *item;

	list_init(&list);
	for (int i = 0; i < 6; i++)
		item_new(&list, i);
	list_each (&list, item, link) {
		if (item->number % 2 == 0) {
			list_remove(&item->link);
			free(item);
		}
	}
	assert_int_equal(list_first(&list, struct item, link)->number, 1);
	assert_int_equal(list_last(&list, struct item, link)->number, 5);
	free_all(&list);
	assert_true(list_is_empty(&list));
}

static void
break_stops_and_continue_goes_on(void **state)
{
	struct list list;
	struct item *item = NULL;
	int visited = 0;

	list_init(&list);
	for (int i = 0; i < 6; i++)
		item_new(&list, i);
	list_each (&list, item, link) {
		if (item->number == 1)
			continue;
		if (item->number == 4)
			break;
		visited += item->number;
	}
	assert_int_equal(visited, 0 + 2 + 3);
	assert_int_equal(item->number, 4);
	free_all(&list);
}

static void
loops_may_stand_in_loops(void **state)
{
	struct list list;
	struct item *outer, *inner;
	int n_pairs = 0;

	list_init(&list);
	for (int i = 0; i < 4; i++)
		item_new(&list, i);
	list_each (&list, outer, link)
		list_each (&list, inner, link)
			n_pairs += inner->number > outer->number;
	assert_int_equal(n_pairs, 6);
	free_all(&list);
}

static void
taking_out_twice_is_harmless(void **state)
{
	struct list list;
	struct item *item;

	list_init(&list);
	item = item_new(&list, 1);
	list_remove(&item->link);
	list_remove(&item->link);
	assert_true(list_is_empty(&list));
	assert_true(list_is_empty(&item->link));
	free(item);
}

UNIT_TESTS(it(an_empty_list_has_nothing_to_visit), it(items_come_in_the_order_in_which_they_stand),
	it(the_item_at_hand_may_be_freed), it(break_stops_and_continue_goes_on),
	it(loops_may_stand_in_loops), it(taking_out_twice_is_harmless))
