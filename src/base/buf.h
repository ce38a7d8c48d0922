/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buf - bytes that grow at the end and are eaten at the front.
 *
 * `at`/`len` are the bytes held; `buf_eat` moves the front without copying until half is waste.
 * The bytes are always followed by a NUL that is not counted, so a buf of text is a C string.
 * Growth aborts when memory is out; who reads foreign bytes bounds `len` first.
 * Any process; one thread at a time.
 */
#ifndef MAYFLY_BASE_BUF_H
#define MAYFLY_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"

struct buf {
	char *at;   /* owned (inside `base`), never NULL after the first growth */
	size_t len; /* bytes held */
	char *base; /* owned: start of the allocation */
	size_t cap; /* bytes of the allocation */
};

#define BUF_INIT ((struct buf){NULL, 0, NULL, 0})

void buf_done(struct buf *buf);  /* frees, leaves an empty buf that can be used again */
void buf_clear(struct buf *buf); /* keeps the memory */
void buf_eat(struct buf *buf, size_t n);
void buf_cut(struct buf *buf, size_t len);      /* keeps the first len bytes */
char *buf_make_room(struct buf *buf, size_t n); /* buf_room() where there is too little */

/* What of the allocation the NUL behind the bytes leaves. */
static inline size_t
buf_room_size(const struct buf *buf)
{
	return buf->cap ? buf->cap - (size_t)(buf->at - buf->base) - buf->len - 1 : 0;
}

/* At least n writable bytes at the end; see buf_grew(). */
static inline char *
buf_room(struct buf *buf, size_t n)
{
	return buf->cap && n <= buf_room_size(buf) ? buf->at + buf->len : buf_make_room(buf, n);
}

/* n bytes were written into the room. */
static inline void
buf_grew(struct buf *buf, size_t n)
{
	must(n <= buf_room_size(buf));
	buf->len += n;
	if (buf->at)
		buf->at[buf->len] = '\0';
}

/* The ways to add are short where there is room, which is nearly always: they stand here. */
static inline void
buf_add(struct buf *buf, const void *bytes, size_t n)
{
	char *room = buf_room(buf, n);

	if (n)
		memcpy(room, bytes, n);
	buf->len += n;
	room[n] = '\0';
}

static inline void
buf_add_str(struct buf *buf, struct str text)
{
	buf_add(buf, text.at, text.len);
}

static inline void
buf_add_text(struct buf *buf, const char *text)
{
	buf_add(buf, text, strlen(text));
}

static inline void
buf_add_char(struct buf *buf, char c)
{
	buf_add(buf, &c, 1);
}

void buf_add_u64(struct buf *buf, uint64_t number);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *buf, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

/* A JSON string with its quotes (RFC 8259). Bytes that are not UTF-8 become U+FFFD. */
void buf_add_json(struct buf *buf, struct str text);

/* Moves the bytes out: the caller frees the pointer; the buf is empty. Terminated. */
char *buf_take(struct buf *buf, size_t *ret_len);

static inline struct str
buf_str(const struct buf *buf)
{
	return (struct str){buf->at, buf->len};
}

static inline void
own_buf(struct buf *buf)
{
	buf_done(buf);
}

#endif
