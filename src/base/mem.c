/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

/* glibc's calloc passes by the thread's cache of small blocks, which malloc takes from first. */
#define MEM_SMALL_BYTES 1024

void *
mem_new(size_t size)
{
	void *memory = size > MEM_SMALL_BYTES ? calloc(1, size) : malloc(size ? size : 1);

	must(memory);
	if (size <= MEM_SMALL_BYTES)
		memset(memory, 0, size);
	return memory;
}

void *
mem_grow(void *old, size_t size)
{
	void *memory = realloc(old, size ? size : 1);

	must(memory);
	return memory;
}

char *
mem_printf(const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	must(vasprintf(&text, format, args) >= 0);
	va_end(args);
	return text;
}
