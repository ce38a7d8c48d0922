/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs in the sandboxes of sandbox_start: one byte, and the end.
 */
#include <unistd.h>

int
main(void)
{
	return write(STDOUT_FILENO, "x", 1) == 1 ? 0 : 1;
}
