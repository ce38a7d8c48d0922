/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/keeper.h"

const char *
keeper_cause_word(enum keeper_cause cause)
{
	static const char *const words[KEEPER_CAUSES] = {
		[KEEPER_CAUSE_NONE] = "none",
		[KEEPER_CAUSE_KERNEL] = "kernel",
		[KEEPER_CAUSE_GONE] = "gone",
		[KEEPER_CAUSE_BUSY] = "busy",
		[KEEPER_CAUSE_PROCESSES] = "processes",
		[KEEPER_CAUSE_THREADS] = "threads",
		[KEEPER_CAUSE_DESCRIPTORS] = "descriptors",
		[KEEPER_CAUSE_LAYOUT] = "layout",
		[KEEPER_CAUSE_SHARED] = "shared",
		[KEEPER_CAUSE_FILES] = "files",
		[KEEPER_CAUSE_SIGNALS] = "signals",
		[KEEPER_CAUSE_LIMITS] = "limits",
		[KEEPER_CAUSE_TIMERS] = "timers",
		[KEEPER_CAUSE_SOCKET] = "socket",
	};

	return (unsigned)cause < KEEPER_CAUSES ? words[cause] : "unknown";
}
