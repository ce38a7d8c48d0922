/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list - a doubly linked ring of links that stand inside their owners.
 *
 * A list owns nothing. A link that is in no list points to itself. Any process; one thread.
 */
#ifndef MAYFLY_BASE_LIST_H
#define MAYFLY_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

static inline void
list_init(struct list *list)
{
	list->next = list->prev = list;
}

static inline bool
list_is_empty(const struct list *list)
{
	return list->next == list;
}

static inline void
list_insert_(struct list *link, struct list *prev, struct list *next)
{
	link->prev = prev;
	link->next = next;
	prev->next = link;
	next->prev = link;
}

static inline void
list_push_back(struct list *list, struct list *link)
{
	list_insert_(link, list->prev, list);
}

static inline void
list_push_front(struct list *list, struct list *link)
{
	list_insert_(link, list, list->next);
}

/* Takes the link out of the list it is in; harmless for one that is in none. */
static inline void
list_remove(struct list *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	list_init(link);
}

#define list_owner(link, type, member) ((type *)((char *)(link)-offsetof(type, member)))
#define list_first(list, type, member)                                                             \
	(list_is_empty(list) ? NULL : list_owner((list)->next, type, member))
#define list_last(list, type, member)                                                              \
	(list_is_empty(list) ? NULL : list_owner((list)->prev, type, member))

/* `item`, a variable of the caller, may be taken out of the list, and freed, in the body; the item
 * behind it may not. break and continue do what they say. */
#define list_each(head, item, member)                                                              \
	for (struct list *item##_at_ = (head)->next, *item##_next_ = item##_at_->next;             \
		item##_at_ != (head) &&                                                            \
		(item = list_owner(item##_at_, __typeof__(*item), member), true);                  \
		item##_at_ = item##_next_, item##_next_ = item##_at_->next)

#endif
