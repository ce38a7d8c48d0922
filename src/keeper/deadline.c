/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/deadline.h"

#include <signal.h>
#include <stdint.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"

#define DEADLINE_TICK_US  5000
#define DEADLINE_STUCK_US 2000000

static volatile uint64_t deadline_at;

static void
deadline_on_tick(int number)
{
	if (deadline_at && clock_mono_us() > deadline_at + DEADLINE_STUCK_US)
		_exit(1);
}

static void
deadline_tick(suseconds_t every_us)
{
	struct itimerval timer = {{0, every_us}, {0, every_us}};

	setitimer(ITIMER_REAL, &timer, NULL);
}

void
deadline_set(unsigned ms)
{
	static bool is_heard;
	struct sigaction action = {.sa_handler = deadline_on_tick};

	if (!is_heard)
		is_heard = sigaction(SIGALRM, &action, NULL) == 0;
	deadline_at = clock_mono_us() + (uint64_t)ms * 1000;
	deadline_tick(DEADLINE_TICK_US);
}

void
deadline_clear(void)
{
	deadline_tick(0);
	deadline_at = 0;
}

bool
deadline_is_over(void)
{
	return deadline_at && clock_mono_us() > deadline_at;
}
