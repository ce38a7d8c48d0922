/* SPDX-License-Identifier: Apache-2.0 */
/*
 * own_data - makes the data of the program and of its libraries memory of no file.
 *
 * Most of those pages were written while the interpreter booted, so little of the files is left in
 * them. But as long as a file is behind a page, a call that gives it back (MADV_DONTNEED) gets the
 * file's bytes there, which no tracker tells from the program's: a keeper has to look at each such
 * page after each call (src/keeper/memory_inside.h, over_files).
 *
 * Knows what the dynamic linker says of segments (dl_iterate_phdr(3)). One thread, in a template,
 * before it is forked; others must not run meanwhile.
 */
#ifndef MAYFLY_PYTHON_OWN_DATA_H
#define MAYFLY_PYTHON_OWN_DATA_H

/* What cannot be is left as it is. */
void own_data_take(void);

#endif
