/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trigger_match - nanoseconds to find the triggers that an event is for.
 *
 *	trigger_match N MILLISECONDS index|scan
 *
 * N filters of five kinds, each for a type or a subject of its own; the events fit one of them
 * each. `scan` compares every filter, which is what the index saves.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "domain/trigger_index.h"

#define EVENTS 16
#define KINDS  5

struct bench {
	struct trigger_index *index;
	struct trigger_place *places; /* owned */
	size_t n;
	struct event events[EVENTS];
	uint64_t n_found;
};

static json_t *
filter_of(unsigned i)
{
	char type[64];

	snprintf(type, sizeof(type), "com.acme.kind%u.created", i);
	switch (i % KINDS) {
	case 0:
		return json_pack("[{s:{s:s}}]", "exact", "type", type);
	case 1:
		return json_pack("[{s:{s:[s, s]}}]", "anyOf", "type", type, "com.acme.other");
	case 2:
		*strrchr(type, '.') = '\0';
		return json_pack("[{s:{s:s}}]", "prefix", "type", type);
	case 3:
		snprintf(type, sizeof(type), "com.acme.kind%u.*", i);
		return json_pack("[{s:{s:s}}]", "topic", "type", type);
	default:
		return json_pack("[{s:{s:s}}, {s:{s:s}}]", "exact", "subject", type, "prefix",
			"source", "/bench");
	}
}

static void
make_event(unsigned i, struct event *ret)
{
	char type[64];
	struct err err = {0};

	snprintf(type, sizeof(type), "com.acme.kind%u.created", i);
	must(event_make("/bench", type, type, NULL, ret, &err) == 0);
}

static void
set_up(struct bench *bench, size_t n)
{
	bench->index = trigger_index_new();
	bench->places = mem_new(n * sizeof(*bench->places));
	bench->n = n;
	for (size_t i = 0; i < n; i++) {
		OWN(json) json_t *json = filter_of((unsigned)i);
		struct trigger_filter *filter = NULL;
		struct err err = {0};

		must(trigger_filter_new(json, &filter, &err) == 0);
		bench->places[i].filter = filter;
		trigger_index_add(bench->index, &bench->places[i]);
	}
	for (unsigned i = 0; i < EVENTS; i++)
		make_event((unsigned)(i * 7 % n), &bench->events[i]);
}

static void
on_found(struct trigger_place *place, void *arg)
{
	++*(uint64_t *)arg;
}

static void
scan(struct bench *bench, const struct event *event)
{
	for (size_t i = 0; i < bench->n; i++)
		if (trigger_filter_match(bench->places[i].filter, event))
			bench->n_found++;
}

int
main(int argc, char **argv)
{
	struct bench bench = {0};
	uint64_t start_us, end_us, n = 0;

	if (argc != 4) {
		fprintf(stderr, "usage: trigger_match N MILLISECONDS index|scan\n");
		return 2;
	}
	set_up(&bench, strtoul(argv[1], NULL, 10));
	start_us = clock_mono_us();
	end_us = start_us + strtoul(argv[2], NULL, 10) * 1000;
	do {
		const struct event *event = &bench.events[n++ % EVENTS];

		if (argv[3][0] == 's')
			scan(&bench, event);
		else
			trigger_index_match(bench.index, event, on_found, &bench.n_found);
	} while (n % 64 || clock_mono_us() < end_us);
	must(bench.n_found >= n);
	printf("%" PRIu64 "\n", (clock_mono_us() - start_us) * 1000 / n);
	return 0;
}
