/* SPDX-License-Identifier: Apache-2.0 */
/*
 * language - what a function can be written in on this host.
 *
 * Node and Python are found where they are installed, asked for their version once, and described
 * by what a sandbox needs to run them: host files for a root, the command inside it, and how a
 * build installs dependencies. exec and native are always there. Made at start, never changed
 * after: every pointer into a language lives as long as the process.
 *
 * Runs `<interpreter> --version` and reads folders of the host; trusts both. Knows nothing of
 * functions, sandboxes and calls. Blocking, before the loop runs; reading is for ANY_THREAD.
 */
#ifndef MAYFLY_RUNTIME_LANGUAGE_H
#define MAYFLY_RUNTIME_LANGUAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "sandbox/root.h"

/* Where a build's program and its dependencies are: see runtimes/node/build.js. */
struct language_build {
	const struct root_plan *root; /* the root that a build runs in */
	const char *const *command;   /* argv inside it, NULL-terminated */
	const char *const *manifests; /* files that ask for a build when the source has one of
					 them at its top, NULL-terminated; each that is there is
					 a part of the key of the cache */
};

struct language {
	char name[32];              /* "node20", "python3.11", "exec", "native" */
	char family[16];            /* "node", "python", "exec", "native" */
	char version[32];           /* "20.20.2"; mayfly's own for exec and native */
	char path[256];             /* of the interpreter on the host, "" for exec and native */
	const char *handler;        /* default of MAYFLY_HANDLER; "" lets the runtime find it */
	const char *file;           /* name that inline code gets: "index.js" */
	const char *const *command; /* argv inside the root, NULL-terminated: MAYFLY_COMMAND_0 … */
	const struct root_plan *root;       /* of its instances */
	const struct language_build *build; /* NULL: no dependencies are installed */
	uint32_t memory_floor_mib;          /* what it needs to start at all */
};

/* Looks through $PATH, /usr/bin, /usr/local/bin, /opt/<any>/bin and the NULL-terminated `folders`
 * (may be NULL), in this order; the first found of a name wins. ERR_NOT_FOUND if runtimes/ of
 * path_share() or a program of path_libexec() is missing. Once per process. */
int language_scan(const char *const *folders, struct err *err);

/* By name, or by family for its newest ("node", "python"); NULL if the host has none. */
const struct language *language_find(const char *name);

/* The i-th, in the order of `mayfly runtimes`; NULL behind the last. */
const struct language *language_each(size_t i);

/* The root that mayfly-unpack runs in. */
const struct root_plan *language_unpack_root(void);

/* Every plan that root_prepare() must make, each once. Static; *ret_n of them. */
const struct root_plan *language_roots(size_t *ret_n);

#endif
