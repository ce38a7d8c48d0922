/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cell_register - makes an extension service and its filters what is wished, and says what it did.
 *
 * What is there stays: a service of another name in the namespace is a CONFLICT, filters that are
 * not wished are kept but when they are to be pruned. Doing it again changes nothing. One thread.
 */
#ifndef MAYFLY_CLI_CELL_REGISTER_H
#define MAYFLY_CLI_CELL_REGISTER_H

#include "cell_service.h"

enum cell_register_flags { CELL_REGISTER_KEEP = 0, CELL_REGISTER_PRUNE = 1 };

/* patterns: an array of strings. Adds to the document "created" (bool), "changed" (names of
 * members), and patterns under "added", "there", "removed", "kept". */
int cell_register(struct cell *cell, const struct cell_service *wished, const json_t *patterns,
	enum cell_register_flags flags, json_t *document, struct err *err);

/* CONFLICT for a service that has another name than `wished`. */
int cell_register_check_ours(
	const struct cell_service *wished, const json_t *record, struct err *err);

#endif
