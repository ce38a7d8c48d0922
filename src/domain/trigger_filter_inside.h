/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trigger_filter_inside - a filter as it is compiled, for the files of trigger_filter.
 */
#ifndef MAYFLY_DOMAIN_TRIGGER_FILTER_INSIDE_H
#define MAYFLY_DOMAIN_TRIGGER_FILTER_INSIDE_H

#include "domain/trigger_filter.h"

enum filter_kind {
	FILTER_EXACT,
	FILTER_PREFIX,
	FILTER_SUFFIX,
	FILTER_ANY_OF,
	FILTER_RANGE,
	FILTER_TOPIC,
	FILTER_ALL,
	FILTER_ANY,
	FILTER_NOT,
};

struct filter_node {
	enum filter_kind kind;
	const char *path;       /* borrowed from the document: attribute; NULL for ALL, ANY, NOT */
	const json_t *value;    /* borrowed from the document */
	struct filter_node *at; /* owned: children of ALL, ANY, NOT */
	size_t n;
};

struct trigger_filter {
	json_t *document; /* owned */
	struct filter_node root;
	size_t n_conditions;
};

/* Parts between dots; * stands for one of them, ** for any number. */
bool trigger_filter_topic(struct str pattern, struct str text);
bool trigger_filter_holds(const struct filter_node *node, const struct event *event);

#endif
