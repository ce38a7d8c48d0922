/* SPDX-License-Identifier: Apache-2.0 */
/*
 * screen - what tenants and callers wrote, on an operator's terminal: shown, never obeyed.
 *
 * Behind screen_open() a stdout or stderr that is a terminal shows control characters instead of
 * sending them: \x1b. Nobody who prints needs to think of it; pipes and files get the bytes as they
 * are. A control character is one of C0, DEL, one of C1 (as UTF-8, or as a byte that is part of no
 * UTF-8), or one that turns the direction of what follows (U+202A to U+202E, U+2066 to U+2069).
 * Knows nothing of what is printed. One thread.
 */
#ifndef MAYFLY_CLI_SCREEN_H
#define MAYFLY_CLI_SCREEN_H

#include <stdbool.h>

#include "base/buf.h"

/* Bytes of the control character that text begins with, \n and \t among them; 0 where it begins
 * with none. */
size_t screen_control(struct str text);

/* Adds text with its control characters as \x1b or \u202e; \n and \t stay. */
void screen_add(struct str text, struct buf *out);

/* Of the whole program, before anything is printed. */
void screen_open(void);
/* From here on stdout has the bytes as they are: they are for a program (--json). */
void screen_pass(void);
/* Empties the line of a stderr that is a terminal. */
void screen_erase_line(void);

#endif
