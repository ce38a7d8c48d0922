/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/bus_line.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

#define BUS_LINE_CAP 16

int
bus_line_compare(const struct bus_place *a, const struct bus_place *b)
{
	if (a->when_ms != b->when_ms)
		return a->when_ms < b->when_ms ? -1 : 1;
	return strcmp(a->id, b->id);
}

/* Where it is or belongs: how many stand before it. */
static size_t
bus_line_find(const struct bus_line *line, const struct bus_place *place)
{
	struct bus_place **at;
	size_t from = 0, to = line->n;

	if (!to)
		return 0;
	at = line->places + line->first;
	if (bus_line_compare(at[to - 1], place) < 0)
		return to;
	if (bus_line_compare(at[0], place) >= 0)
		return 0;
	while (from < to) {
		size_t middle = (from + to) / 2;

		if (bus_line_compare(at[middle], place) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

/* Room at both ends; at least half of the array is room then, so that it lasts. */
static void
bus_line_center(struct bus_line *line)
{
	size_t first;

	if (line->n * 2 >= line->cap) {
		line->cap = line->cap ? line->cap * 2 : BUS_LINE_CAP;
		line->places = mem_grow(line->places, line->cap * sizeof(*line->places));
	}
	first = (line->cap - line->n) / 2;
	memmove(line->places + first, line->places + line->first, line->n * sizeof(*line->places));
	line->first = first;
}

void
bus_line_add(struct bus_line *line, struct bus_place *place)
{
	size_t i = bus_line_find(line, place);
	struct bus_place **at;

	if (!line->first || line->first + line->n == line->cap)
		bus_line_center(line);
	at = line->places + line->first;
	must(i == line->n || bus_line_compare(at[i], place) != 0);
	if (i < line->n / 2) {
		memmove(at - 1, at, i * sizeof(*at));
		line->first--;
		at--;
	} else {
		memmove(at + i + 1, at + i, (line->n - i) * sizeof(*at));
	}
	at[i] = place;
	line->n++;
}

void
bus_line_remove(struct bus_line *line, struct bus_place *place)
{
	size_t i = bus_line_find(line, place);
	struct bus_place **at = line->places + line->first;

	must(i < line->n && at[i] == place);
	if (i < line->n / 2) {
		memmove(at + 1, at, i * sizeof(*at));
		line->first++;
	} else {
		memmove(at + i, at + i + 1, (line->n - i - 1) * sizeof(*at));
	}
	line->n--;
	if (!line->n)
		bus_line_done(line);
}

struct bus_place *
bus_line_first(const struct bus_line *line)
{
	return line->n ? line->places[line->first] : NULL;
}

struct bus_place *
bus_line_last(const struct bus_line *line)
{
	return line->n ? line->places[line->first + line->n - 1] : NULL;
}

void
bus_line_done(struct bus_line *line)
{
	free(line->places);
	*line = BUS_LINE_NONE;
}
