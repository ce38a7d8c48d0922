/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cell_read - what a cell of vCloud Director answers, as far as we need it.
 *
 * Answers are foreign and may be hostile: XML without document types, texts of which control
 * characters are gone, so that they can be printed. How long an answer is has been bounded before.
 * Knows no connection. One thread. Fuzzed by fuzz_cell_read.
 */
#ifndef MAYFLY_CLI_CELL_READ_H
#define MAYFLY_CLI_CELL_READ_H

#include "base/json.h"

#define CELL_UUID_SIZE    37
#define CELL_VERSION_SIZE 16

/* <QueryResultRecords total=…> with elements `record`: appends to the array an object of strings
 * for each, with those of `attributes` (NULL-terminated) that it has. */
int cell_read_records(struct str body, const char *record, const char *const *attributes,
	json_t *array, uint64_t *ret_total, struct err *err);

/* Of the versions in <SupportedVersions> the one to speak: the newest in which extension services
 * over AMQP are not deprecated, else the oldest that is offered. */
int cell_read_versions(struct str body, char ret[static CELL_VERSION_SIZE], struct err *err);
/* "36.3": two numbers. */
bool cell_read_version(struct str text, unsigned *ret_major, unsigned *ret_minor);

/* The message of an error (<Error message=>, or JSON with a member "message"), "" where there is
 * none; at most 150 bytes. */
void cell_read_error(struct str body, struct buf *out);

/* The UUID that an address ends with. */
bool cell_read_uuid(struct str href, char ret[static CELL_UUID_SIZE]);

#endif
