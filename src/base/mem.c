/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"

void *
mem_new(size_t size)
{
	void *memory = calloc(1, size ? size : 1);

	must(memory);
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
