/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine - what of the keeper's work depends on the processor: which registers make a system
 * call, and the code that makes a batch of them.
 *
 * One file per architecture, chosen at build; where there is none machine_none.c says so, and no
 * program is kept. Knows no process. mayfly-keeper.
 */
#ifndef MAYFLY_KEEPER_MACHINE_H
#define MAYFLY_KEEPER_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/user.h>

extern const bool machine_is_known;

/* Position-independent: makes the system calls of an array of struct subject_op, then traps. */
extern const uint8_t machine_stub[];
size_t machine_stub_size(void);
size_t machine_stub_call(void); /* where in it an instruction stands that makes a system call */

/* Stopped in a system call that the kernel would start again: a wait. */
bool machine_is_waiting(const struct user_regs_struct *registers);
/* One that the kernel would go on with from what it remembers of the thread's last one
 * (restart_syscall(2)); nobody else can tell what that will be later. */
bool machine_is_remembered(const struct user_regs_struct *registers);
/* Turns either into registers that make the same call from its beginning; a call that had been gone
 * on with before is not known any more and ends with EINTR. */
void machine_wait_again(struct user_regs_struct *registers);
/* The number of the system call that it is in or was in, -1 outside of one. */
long machine_call_number(const struct user_regs_struct *registers);

uint64_t machine_position(const struct user_regs_struct *registers);
bool machine_is_call(const uint8_t bytes[static 2]); /* an instruction that makes a system call */

void machine_set_call(struct user_regs_struct *registers, uint64_t at, long number,
	const uint64_t args[static 6]);
int64_t machine_result(const struct user_regs_struct *registers);

void machine_set_batch(struct user_regs_struct *registers, uint64_t stub, uint64_t ops, size_t n);
bool machine_is_batch_over(const struct user_regs_struct *registers, uint64_t stub);

#endif
