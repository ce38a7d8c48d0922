/* SPDX-License-Identifier: Apache-2.0 */
/* What an org accepted last, and who follows it. */
#include "domain/event.h"
#include "domain/org.h"

#define REMEMBERED       100
#define REMEMBERED_BYTES (4u << 20)

struct remembered {
	struct list link;
	char id[ID_ULID_SIZE];
	size_t len;
	char text[];
};

struct event_log {
	struct list remembered; /* of struct remembered, owned, oldest first */
	size_t n, n_bytes;
	struct list follows; /* of struct event_follow, borrowed */
};

struct event_log *
event_log_new(void)
{
	struct event_log *log = mem_new(sizeof(*log));

	list_init(&log->remembered);
	list_init(&log->follows);
	return log;
}

static void
forget_oldest(struct event_log *log)
{
	struct remembered *oldest = list_first(&log->remembered, struct remembered, link);

	list_remove(&oldest->link);
	log->n--;
	log->n_bytes -= oldest->len;
	free(oldest);
}

void
event_log_free(struct event_log *log)
{
	struct event_follow *follow;

	if (!log)
		return;
	while (log->n)
		forget_oldest(log);
	while ((follow = list_first(&log->follows, struct event_follow, link)))
		list_remove(&follow->link);
	free(log);
}

void
event_log_add(struct event_log *log, const struct event *event)
{
	struct remembered *entry = mem_new(sizeof(*entry) + event->text_len + 1);
	struct event_follow *follow;

	id_ulid(entry->id);
	entry->len = event->text_len;
	memcpy(entry->text, event->text, event->text_len);
	list_push_back(&log->remembered, &entry->link);
	log->n++;
	log->n_bytes += entry->len;
	list_each (&log->follows, follow, link)
		follow->on_event(follow, entry->id, str_n(entry->text, entry->len));
	while (log->n > REMEMBERED || (log->n > 1 && log->n_bytes > REMEMBERED_BYTES))
		forget_oldest(log);
}

static bool
is_behind(const struct remembered *entry, const char *after)
{
	return strcmp(entry->id, after) > 0;
}

void
event_follow(struct org *org, struct event_follow *follow, unsigned n, const char *after)
{
	struct event_log *log = org->events;
	struct remembered *entry;
	size_t skip = 0;

	list_each (&log->remembered, entry, link)
		skip += is_behind(entry, after);
	skip = skip > n ? skip - n : 0;
	list_each (&log->remembered, entry, link) {
		if (!is_behind(entry, after))
			continue;
		if (skip)
			skip--;
		else
			follow->on_event(follow, entry->id, str_n(entry->text, entry->len));
	}
	list_push_back(&log->follows, &follow->link);
}

void
event_unfollow(struct event_follow *follow)
{
	list_remove(&follow->link);
}
