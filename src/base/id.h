/* SPDX-License-Identifier: Apache-2.0 */
/*
 * id - random bytes, ULIDs, digests, and the rules for names. Any process, any thread.
 */
#ifndef MAYFLY_BASE_ID_H
#define MAYFLY_BASE_ID_H

#include "base/err.h"
#include "base/str.h"

#define ID_ULID_SIZE   27 /* 26 characters of Crockford base 32 and a NUL */
#define ID_SHA256_SIZE 65 /* 64 lower-case hex digits and a NUL */

/* From getrandom(2) through a per-thread ChaCha20 pool that is renewed after a fork and every
 * mebibyte; never fails. */
void id_random(void *bytes, size_t n);

/* A ULID (github.com/ulid/spec): sorts by time, and those of one thread in the order they were
 * made; random part from id_random(). */
void id_ulid(char ret[static ID_ULID_SIZE]);
bool id_is_ulid(struct str text);

void id_hex(const uint8_t *bytes, size_t n, char *ret); /* ret holds 2n + 1 */
bool id_is_sha256(struct str text);                     /* exactly 64 lower-case hex digits */
void id_sha256(struct str bytes, char ret[static ID_SHA256_SIZE]);

/* Incremental SHA-256. */
struct id_sha256 *id_sha256_new(void);
void id_sha256_add(struct id_sha256 *sum, const void *bytes, size_t n);
void id_sha256_end(struct id_sha256 *sum, char ret[static ID_SHA256_SIZE]); /* frees sum */
void id_sha256_free(struct id_sha256 *sum);

/* Names of orgs and functions: 1 to 63 of a-z 0-9 and '-', no '-' at an end (RFC 1123 label). */
int id_check_name(struct str name, const char *field, struct err *err);

#endif
