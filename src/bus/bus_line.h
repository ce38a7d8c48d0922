/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus_line - places in the order of a time, then an id.
 *
 * What is added usually belongs at the end and what is taken stands at the front: a sorted array
 * with room at both ends does both at once, and moves the shorter part for the rest. A place
 * stands inside its owner, is alone with its (when_ms, id), and keeps both while it is in a line.
 * Knows nothing of messages. Any thread; one at a time.
 */
#ifndef MAYFLY_BUS_BUS_LINE_H
#define MAYFLY_BUS_BUS_LINE_H

#include <stddef.h>
#include <stdint.h>

struct bus_place {
	uint64_t when_ms;
	const char *id; /* borrowed */
};

struct bus_line {
	struct bus_place **places; /* owned; the places are borrowed */
	size_t first, n, cap;
};
#define BUS_LINE_NONE ((struct bus_line){NULL, 0, 0, 0})

int bus_line_compare(const struct bus_place *a, const struct bus_place *b);
void bus_line_add(struct bus_line *line, struct bus_place *place);
void bus_line_remove(struct bus_line *line, struct bus_place *place); /* must be in it */
struct bus_place *bus_line_first(const struct bus_line *line);        /* NULL if it is empty */
struct bus_place *bus_line_last(const struct bus_line *line);
void bus_line_done(struct bus_line *line);

#endif
