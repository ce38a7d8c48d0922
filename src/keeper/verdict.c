/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>

#include "keeper/subject.h"

int
verdict(struct keeper_reply *reply, enum keeper_cause cause, const char *format, ...)
{
	va_list args;

	if (reply->cause != KEEPER_CAUSE_NONE)
		return -1;
	reply->cause = cause;
	va_start(args, format);
	vsnprintf(reply->text, sizeof(reply->text), format, args);
	va_end(args);
	return -1;
}
