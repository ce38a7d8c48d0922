/* SPDX-License-Identifier: Apache-2.0 */
/*
 * maps - the lines of /proc/<pid>/maps (proc(5)), by their columns.
 *
 * What stands behind the columns is a name that a tenant may have chosen; of it only the kernel's
 * own, which stand in brackets, are told apart, and whether the file is there any more. The kernel
 * writes a line end in a name as \012. Fuzzed by fuzz_keeper_maps. Any process.
 */
#ifndef MAYFLY_KEEPER_MAPS_H
#define MAYFLY_KEEPER_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum maps_kind {
	MAPS_ANONYMOUS,
	MAPS_HEAP,
	MAPS_STACK,
	MAPS_FILE,
	MAPS_GONE_FILE, /* deleted, or of memory that has no name */
	MAPS_CODE,      /* [vdso] */
	MAPS_KERNEL,    /* [vvar], [vsyscall]: nobody can write there */
};

struct maps_range {
	uint64_t start, end; /* multiples of the page size */
	int protection;      /* PROT_READ | PROT_WRITE | PROT_EXEC */
	bool is_shared;
	enum maps_kind kind;
	uint32_t major, minor; /* device of the file */
	uint64_t offset, inode;
};

/* Takes the first line off *text: 1 and the range; 0 at the end; -1 for what is no such line. */
int maps_next(struct str *text, struct maps_range *ret);

/* The same memory behind both, where they overlap. */
bool maps_is_same_source(const struct maps_range *a, const struct maps_range *b);

#endif
