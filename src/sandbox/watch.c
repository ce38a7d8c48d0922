/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/watch.h"

#include <sys/epoll.h>
#include <unistd.h>

static int watch_epoll = -1;

int
watch_open(struct err *err)
{
	watch_epoll = epoll_create1(EPOLL_CLOEXEC);
	return watch_epoll < 0 ? err_sys(err, "making the set of what is watched") : 0;
}

int
watch_add(int fd, uint64_t whose, struct err *err)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = whose};

	if (epoll_ctl(watch_epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		return err_sys(err, "watching a descriptor");
	return 0;
}

void
watch_forget(int fd)
{
	epoll_ctl(watch_epoll, EPOLL_CTL_DEL, fd, NULL);
}

void
watch_close(int *fd)
{
	if (*fd < 0)
		return;
	watch_forget(*fd);
	close(*fd);
	*fd = -1;
}

int
watch_wait(uint64_t ret[static WATCH_MOST], int wait_ms)
{
	struct epoll_event events[WATCH_MOST];
	int n = epoll_wait(watch_epoll, events, WATCH_MOST, wait_ms);

	for (int i = 0; i < n; i++)
		ret[i] = events[i].data.u64;
	return n;
}
