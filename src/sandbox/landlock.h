/* SPDX-License-Identifier: Apache-2.0 */
/*
 * landlock - a second wall around files: read and execute anywhere in the root, write in few
 * places, whatever the mounts say (Linux: Documentation/userspace-api/landlock).
 *
 * In the child that becomes a sandbox, after its mounts are made; and in doctor.
 */
#ifndef MAYFLY_SANDBOX_LANDLOCK_H
#define MAYFLY_SANDBOX_LANDLOCK_H

#include "base/err.h"

/* Version of the kernel's interface, 0 where there is no Landlock. */
int landlock_abi(void);

/* Restricts this process, for ever, to writing below the folders of the NULL-terminated list, and
 * to the devices in /dev. From version 6 on also shuts signals and abstract sockets in. */
int landlock_enter(int abi, const char *const *writable, struct err *err);

#endif
