/* SPDX-License-Identifier: Apache-2.0 */
/*
 * language_host - asks the host for its interpreters.
 *
 * Looks at ELF programs only (a version manager's scripts change with the working folder), each
 * once by its canonical path, and runs it with a time limit. Trusts the host's programs; start-up
 * only, one thread.
 */
#ifndef MAYFLY_RUNTIME_LANGUAGE_HOST_H
#define MAYFLY_RUNTIME_LANGUAGE_HOST_H

#include <stdbool.h>

#include "base/buf.h"

/* A list of strings, NULL-terminated as C's interfaces want it. Owned, as its strings are. */
struct language_words {
	char **at;
	size_t n, cap;
};

void language_words_add(struct language_words *words, const char *word); /* a copy */
void language_words_add_all(struct language_words *words, const char *const *list);
void language_words_done(struct language_words *words);

/* Called for each program found, in order; `path` is canonical, `place` the folder where it was
 * found first. */
typedef void language_host_fn(const char *path, const char *place, void *arg);

/* Every program in the folders whose name is `stem` with an optional version behind it ("node",
 * "python3.11"). */
void language_host_each(
	const struct language_words *folders, const char *stem, language_host_fn *fn, void *arg);

/* The standard folders of programs, then `more` (may be NULL). */
void language_host_folders(const char *const *more, struct language_words *ret);

/* What a program prints to stdout, at most 4 KiB, appended; false when it fails or takes more
 * than five seconds. */
bool language_host_ask(const char *const *argv, struct buf *out);

/* The path of a program in the folders, on the heap; NULL if there is none. */
char *language_host_find(const struct language_words *folders, const char *name);

#endif
