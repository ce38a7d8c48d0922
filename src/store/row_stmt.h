/* SPDX-License-Identifier: Apache-2.0 */
/*
 * row_stmt - the fields of a row struct as columns of a statement, in and out.
 *
 * A shape lists the fields in the order of the columns: field i is bound to parameter ?i+1 and
 * read from column i. Statements come from the cache and go back to it at the end of the scope:
 *
 *	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
 *
 * Knows no table. Store's thread.
 */
#ifndef MAYFLY_STORE_ROW_STMT_H
#define MAYFLY_STORE_ROW_STMT_H

#include <stddef.h>
#include <stdint.h>

#include "base/own.h"
#include "store/store_db.h"

enum row_stmt_kind { ROW_CHARS, ROW_TEXT, ROW_BYTES, ROW_U64, ROW_U32, ROW_U16, ROW_U8, ROW_BOOL };

struct row_stmt_field {
	enum row_stmt_kind kind;
	unsigned offset, size;
};

struct row_stmt_shape {
	const char *noun; /* for messages: "there is no such function" */
	const struct row_stmt_field *fields;
	unsigned n_fields;
};

/* ROW_FIELD(CHARS, struct row_org, name): a char array, a `const char *` (TEXT: NULL goes in as
 * "" and comes out of an SQL NULL), a struct str (BYTES: a BLOB) or a number. */
#define ROW_FIELD(kind_, type, member)                                                             \
	{                                                                                          \
		ROW_##kind_, offsetof(type, member), sizeof(((type *)0)->member)                   \
	}
#define ROW_SHAPE(noun_, fields_)                                                                  \
	{                                                                                          \
		noun_, fields_, sizeof(fields_) / sizeof(*(fields_))                               \
	}

struct row_stmt {
	struct store_db *db; /* borrowed */
	sqlite3_stmt *stmt;  /* borrowed from the cache */
};
#define ROW_STMT_NONE ((struct row_stmt){NULL, NULL})

int row_stmt_init(struct row_stmt *stmt, struct store_db *db, const char *sql, struct err *err);
void row_stmt_bind_text(struct row_stmt *stmt, int index, const char *text);
void row_stmt_bind_u64(struct row_stmt *stmt, int index, uint64_t number);
void row_stmt_bind_row(struct row_stmt *stmt, const struct row_stmt_shape *shape, const void *row);

/* 1 with *ret filled, 0 behind the last, or an error. Texts live until the next step. */
int row_stmt_next(
	struct row_stmt *stmt, const struct row_stmt_shape *shape, void *ret, struct err *err);

/* Runs it to its end and gives how many rows it changed, or an error. */
int row_stmt_change(struct row_stmt *stmt, struct err *err);

/* The same where one row must be changed: 0, or ERR_NOT_FOUND with the noun. */
int row_stmt_change_one(struct row_stmt *stmt, const char *noun, struct err *err);

/* Binds a whole row and changes one. */
int row_stmt_write(struct store_db *db, const char *sql, const struct row_stmt_shape *shape,
	const void *row, struct err *err);

/* Binds n_keys texts from ?1 on and changes one. */
int row_stmt_delete(struct store_db *db, const char *sql, const char *noun, const char *const *keys,
	unsigned n_keys, struct err *err);

static inline void
own_row_stmt(struct row_stmt *stmt)
{
	if (!stmt->stmt)
		return;
	sqlite3_reset(stmt->stmt);
	sqlite3_clear_bindings(stmt->stmt);
}

#endif
