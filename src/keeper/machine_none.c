/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/machine.h"

const bool machine_is_known = false;
const uint8_t machine_stub[1];

size_t
machine_stub_size(void)
{
	return 0;
}

size_t
machine_stub_call(void)
{
	return 0;
}

long
machine_call_number(const struct user_regs_struct *registers)
{
	return -1;
}

bool
machine_is_waiting(const struct user_regs_struct *registers)
{
	return false;
}

bool
machine_is_remembered(const struct user_regs_struct *registers)
{
	return false;
}

void
machine_wait_again(struct user_regs_struct *registers)
{
}

uint64_t
machine_position(const struct user_regs_struct *registers)
{
	return 0;
}

bool
machine_is_call(const uint8_t bytes[static 2])
{
	return false;
}

void
machine_set_call(
	struct user_regs_struct *registers, uint64_t at, long number, const uint64_t args[static 6])
{
}

int64_t
machine_result(const struct user_regs_struct *registers)
{
	return -1;
}

void
machine_set_batch(struct user_regs_struct *registers, uint64_t stub, uint64_t ops, size_t n)
{
}

bool
machine_is_batch_over(const struct user_regs_struct *registers, uint64_t stub)
{
	return true;
}
