/* SPDX-License-Identifier: Apache-2.0 */
/*
 * str - a borrowed view of bytes, and the few questions that parsers ask of it.
 *
 * A view owns nothing and is not terminated; it lives no longer than the bytes it points to.
 * Any process, any thread.
 */
#ifndef MAYFLY_BASE_STR_H
#define MAYFLY_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"

struct str {
	const char *at; /* borrowed; may be NULL when len is 0 */
	size_t len;
};

#define STR(literal) ((struct str){"" literal "", sizeof(literal) - 1})
#define STR_NONE     ((struct str){NULL, 0})
/* for printf: "%.*s", STR_ARG(view) */
#define STR_ARG(view) (int)(view).len, (view).at ? (view).at : ""

static inline struct str
str_of(const char *text)
{
	return (struct str){text, text ? strlen(text) : 0};
}

static inline struct str
str_n(const void *at, size_t len)
{
	return (struct str){at, len};
}

bool str_eq(struct str a, struct str b);
bool str_eq_case(struct str a, struct str b); /* ASCII case does not matter */
bool str_starts(struct str text, struct str prefix);
bool str_ends(struct str text, struct str suffix);
int str_compare(struct str a, struct str b); /* as memcmp, the shorter first */
struct str str_trim(struct str text);        /* spaces and tabs at both ends */

/* Cuts *rest at the first `separator`: gives what is before it, leaves what is behind it.
 * Without one the whole is given and *rest becomes empty. */
struct str str_cut(struct str *rest, char separator);

/* Decimal digits only, no sign, no space, no overflow; false leaves *ret alone. */
bool str_to_u64(struct str text, uint64_t *ret);

/* Bytes of the well-formed UTF-8 character (RFC 3629: no surrogates, no overlong forms) that
 * text begins with, 1 to 4; 0 where there is none. */
size_t str_utf8_step(struct str text);

/* True if text is well-formed UTF-8 from end to end. */
bool str_is_utf8(struct str text);

/* Compares without telling by its time where they differ; lengths are not secret. */
bool str_eq_secret(struct str a, struct str b);

/* A terminated copy on the heap, freed by the caller. Aborts when memory is out. */
char *str_dup(struct str text);

#endif
