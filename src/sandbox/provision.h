/* SPDX-License-Identifier: Apache-2.0 */
/*
 * provision - what the spawner takes from the host before it leaves it for its stage.
 *
 * mayfly-spawner; one thread.
 */
#ifndef MAYFLY_SANDBOX_PROVISION_H
#define MAYFLY_SANDBOX_PROVISION_H

#include "base/err.h"

/* A sealed copy of a program in memory, as a descriptor: what runs as pid 1 of every sandbox is no
 * file that anything inside could reach, whoever owns it; and its pages are charged to the
 * spawner. */
int provision_program(const char *folder, const char *name, struct err *err);

/* The highest capability that this kernel knows. */
int provision_last_capability(void);

/* As many open files as this process may have. */
void provision_open_files(void);

#endif
