/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mechanism - how the calls of an instance are kept from each other, and which way serves a
 * language on this machine.
 *
 * With isolation `call` every call begins from the state that the function had when it was loaded.
 * Three mechanisms keep that promise, the best first; which of them a function gets depends on its
 * wish, its language and the kernel (doctor's findings). A program that cannot be kept in one way
 * is served by the next (mechanism_after), down to `once`, which works everywhere.
 *
 * Knows nothing of instances and functions. Examined once, before the loop runs; reading is for
 * ANY_THREAD. Before it was examined a machine offers `once` alone.
 */
#ifndef MAYFLY_RUNTIME_MECHANISM_H
#define MAYFLY_RUNTIME_MECHANISM_H

#include "base/str.h"
#include "runtime/language.h"
#include "sandbox/doctor.h"

enum mechanism {
	MECHANISM_NONE,     /* isolation `instance`: a call finds what the one before left */
	MECHANISM_AUTO,     /* a wish only: the first of those below that is possible */
	MECHANISM_ROLLBACK, /* the same process, its memory written back */
	MECHANISM_FORK,     /* a child of a loaded process that never runs itself */
	MECHANISM_ONCE,     /* an instance for each call */
	MECHANISMS,
};

const char *mechanism_word(enum mechanism mechanism); /* "none", "auto", "rollback", … */
/* What may be wished: auto, rollback, fork or once; false for other words. */
bool mechanism_of_word(struct str word, enum mechanism *ret);

/* What the kernel of this machine and mayfly's own programs on it allow. */
void mechanism_examine(const struct doctor_finding *findings, size_t n);

/* Why ROLLBACK, FORK or ONCE does not serve the language on this machine; NULL when it does. */
const char *mechanism_obstacle(const struct language *language, enum mechanism mechanism);

/* The best that serves the language, from the wished one on. */
enum mechanism mechanism_choose(const struct language *language, enum mechanism wish);
/* The next behind one that turned out not to serve a program. */
enum mechanism mechanism_after(const struct language *language, enum mechanism mechanism);

/* Appends to the findings of doctor, whose array has room for `size`, what serves each family of
 * languages, and where instances come from in each; gives their new number. */
size_t mechanism_explain(struct doctor_finding *findings, size_t n, size_t size);

#endif
