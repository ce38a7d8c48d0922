/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_program - finds the program that MAYFLY_HANDLER names, and says what is wrong with it
 * before the first call does. One thread.
 */
#ifndef MAYFLY_RUNTIMES_EXEC_PROGRAM_H
#define MAYFLY_RUNTIMES_EXEC_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

/* Finds it in `folder`; handler "" takes bootstrap, handler, handler.* or the only executable
 * file. True with its path in ret; false with a sentence for the developer in ret. */
bool exec_program_find(const char *folder, const char *handler, char *ret, size_t size);

#endif
