/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem - heap memory that is there or the program ends.
 *
 * What comes from outside is bounded before it is stored, so running out of memory is a broken
 * promise and not an answer: these abort. All of it is freed with free(). Any process, any thread.
 */
#ifndef MAYFLY_BASE_MEM_H
#define MAYFLY_BASE_MEM_H

#include <stddef.h>

void *mem_new(size_t size);             /* zeroed */
void *mem_grow(void *old, size_t size); /* as realloc; what is added is not zeroed */
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
