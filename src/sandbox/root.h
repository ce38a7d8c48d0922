/* SPDX-License-Identifier: Apache-2.0 */
/*
 * root - the read-only root file system of a runtime: that runtime, and nothing else of the host.
 *
 * A root is a folder <data_dir>/roots/<name>-<digest of its manifest> of hard links (or copies) of
 * host files: the interpreter with its standard library, the shared objects that they need,
 * certificates, time zones, and mayfly's own shim at /runtime. It is made at start, by the daemon
 * before it drops its privileges, and kept while the host's files do not change.
 */
#ifndef MAYFLY_SANDBOX_ROOT_H
#define MAYFLY_SANDBOX_ROOT_H

#include <stddef.h>

#include "base/err.h"

/* Host files that a root is made of; found by runtime/language.c. All borrowed or static. */
struct root_plan {
	char name[32];            /* "node20", "python3.11", "exec", "native", "unpack" */
	const char *const *files; /* NULL-terminated host paths: programs (their shared objects are
				     found and added), files and whole folders */
	const char *const *links; /* NULL-terminated "path=target" symlinks inside, may be NULL */
	const char *shim;         /* folder that becomes /runtime, NULL for none */
	/* NULL-terminated argv of what is forked for instances (sandbox/template.h), NULL for none
	 */
	const char *const *template;
	const char *const *programs; /* NULL-terminated host paths of mayfly's own programs that
				      stand in /runtime under their names, may be NULL */
};

struct root {
	char name[32];
	unsigned index; /* the spawner's name for it: position in the order made */
	char path[200]; /* absolute */
};

/* Makes every root of the plans, in order, and removes outdated ones. A plan whose files are not
 * there gives an error that names the file. Blocking; start-up only. */
int root_prepare(const char *data_dir, const struct root_plan *plans, size_t n,
	struct root *ret /* n of them */, struct err *err);

#endif
