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

/* `item` may be taken out of the list, and freed, in the body. */
#define list_each(list, item, member)                                                              \
	for (__typeof__(item) item##_next_, *item##_once_ = (void *)1; item##_once_;               \
		item##_once_ = NULL)                                                               \
		for (item = list_owner((list)->next, __typeof__(*item), member),                   \
		    item##_next_ = list_owner(item->member.next, __typeof__(*item), member);       \
			&item->member != (list); item = item##_next_,                              \
		    item##_next_ = list_owner(item->member.next, __typeof__(*item), member))

#endif
