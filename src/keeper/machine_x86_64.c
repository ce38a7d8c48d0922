/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/syscall.h>

#include "keeper/machine.h"
#include "keeper/subject.h"

const bool machine_is_known = true;

/* What the kernel gives a call that is to be started again (include/linux/errno.h); only a tracer
 * sees them. */
#define RESTART_FIRST 512
#define RESTART_BLOCK 516
#define RESTART_LAST  516

extern const uint8_t machine_stub_call_here[], machine_stub_end[];

/* rbx: the array of struct subject_op, r12: how many. No stack is used: it may not be there. */
__asm__(".pushsection .rodata\n"
	"machine_stub:\n"
	"1:	test %r12, %r12\n"
	"	jz 2f\n"
	"	mov 0(%rbx), %rax\n"
	"	mov 8(%rbx), %rdi\n"
	"	mov 16(%rbx), %rsi\n"
	"	mov 24(%rbx), %rdx\n"
	"	mov 32(%rbx), %r10\n"
	"	mov 40(%rbx), %r8\n"
	"	mov 48(%rbx), %r9\n"
	"machine_stub_call_here:\n"
	"	syscall\n"
	"	mov %rax, 56(%rbx)\n"
	"	add $64, %rbx\n"
	"	dec %r12\n"
	"	jmp 1b\n"
	"2:	int3\n"
	"machine_stub_end:\n"
	"	.globl machine_stub, machine_stub_call_here, machine_stub_end\n"
	"	.popsection\n");

_Static_assert(offsetof(struct subject_op, result) == 56, "the stub knows where results are");
_Static_assert(sizeof(struct subject_op) == 64, "the stub knows how long an op is");

size_t
machine_stub_size(void)
{
	return (size_t)(machine_stub_end - machine_stub);
}

size_t
machine_stub_call(void)
{
	return (size_t)(machine_stub_call_here - machine_stub);
}

long
machine_call_number(const struct user_regs_struct *registers)
{
	return (long)registers->orig_rax;
}

/* epoll_wait() and its like give EINTR where others are started again; nobody has handled a signal
 * in between, so that they may be, too. */
bool
machine_is_waiting(const struct user_regs_struct *registers)
{
	int64_t code = -(int64_t)registers->rax;

	return (int64_t)registers->orig_rax >= 0 &&
	       ((code >= RESTART_FIRST && code <= RESTART_LAST) || code == EINTR);
}

bool
machine_is_remembered(const struct user_regs_struct *registers)
{
	return (int64_t)registers->orig_rax >= 0 && (int64_t)registers->rax == -RESTART_BLOCK;
}

void
machine_wait_again(struct user_regs_struct *registers)
{
	if (registers->orig_rax == SYS_restart_syscall) {
		registers->rax = (uint64_t)-EINTR;
		registers->orig_rax = (uint64_t)-1;
		return;
	}
	registers->rax = registers->orig_rax;
	registers->orig_rax = (uint64_t)-1;
	registers->rip -= 2;
}

uint64_t
machine_position(const struct user_regs_struct *registers)
{
	return registers->rip;
}

bool
machine_is_call(const uint8_t bytes[static 2])
{
	return bytes[0] == 0x0f && bytes[1] == 0x05;
}

void
machine_set_call(
	struct user_regs_struct *registers, uint64_t at, long number, const uint64_t args[static 6])
{
	registers->rip = at;
	registers->rax = (uint64_t)number;
	registers->orig_rax = (uint64_t)-1;
	registers->rdi = args[0];
	registers->rsi = args[1];
	registers->rdx = args[2];
	registers->r10 = args[3];
	registers->r8 = args[4];
	registers->r9 = args[5];
}

int64_t
machine_result(const struct user_regs_struct *registers)
{
	return (int64_t)registers->rax;
}

void
machine_set_batch(struct user_regs_struct *registers, uint64_t stub, uint64_t ops, size_t n)
{
	registers->rip = stub;
	registers->orig_rax = (uint64_t)-1;
	registers->rbx = ops;
	registers->r12 = n;
}

bool
machine_is_batch_over(const struct user_regs_struct *registers, uint64_t stub)
{
	return registers->rip == stub + machine_stub_size();
}
