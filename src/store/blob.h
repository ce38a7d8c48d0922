/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blob - bytes kept by their SHA-256 in <data_dir>/blobs/ab/abcdef….
 *
 * Written aside, fsynced, renamed: a blob is there whole or not at all, and the same bytes are
 * kept once. Blocking file I/O: call it on the store's thread (inside a message's work) or before
 * the loop runs. Reading gives a descriptor. Whether a blob is used is the rows' business.
 */
#ifndef MAYFLY_STORE_BLOB_H
#define MAYFLY_STORE_BLOB_H

#include "base/err.h"
#include "base/id.h"
#include "base/str.h"
#include "store/store.h"

int blob_put(struct store_db *db, struct str bytes, char ret_digest[static ID_SHA256_SIZE],
	struct err *err) ON_STORE;
/* From a descriptor until its end, at most max bytes (ERR_TOO_LARGE beyond). */
int blob_put_fd(struct store_db *db, int fd, uint64_t max, char ret_digest[static ID_SHA256_SIZE],
	uint64_t *ret_size, struct err *err) ON_STORE;

/* Read-only descriptor, owned by the caller. Any thread: names are digests, content never
 * changes. ERR_NOT_FOUND without one. */
int blob_open(struct store *store, const char *digest, int *ret_fd, uint64_t *ret_size,
	struct err *err) ANY_THREAD;

/* Removes blobs that no row names and that are older than min_age_s. Gives how many. */
int blob_sweep(struct store_db *db, unsigned min_age_s, unsigned *ret_n, struct err *err) ON_STORE;

#endif
