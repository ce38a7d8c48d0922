/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/sockopt.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#define SOCKOPT_NUMBERS 100

/* What came after the headers of Debian 12. */
#define SOCKOPT_BUF_LOCK       72 /* Linux 5.16 */
#define SOCKOPT_PEERPIDFD      77 /* Linux 6.5; it would open a descriptor */
#define SOCKOPT_TIMESTAMPING_N 65
#define SOCKOPT_RCVTIMEO_N     66
#define SOCKOPT_SNDTIMEO_N     67

struct sockopt_row {
	int level, number;
};

/* Answers that nobody can set, that change by themselves, that cost, or that do something. */
static const struct sockopt_row sockopt_skipped[] = {{SOL_SOCKET, SO_TYPE}, {SOL_SOCKET, SO_ERROR},
	{SOL_SOCKET, SO_PEERCRED}, {SOL_SOCKET, SO_PEERNAME}, {SOL_SOCKET, SO_ACCEPTCONN},
	{SOL_SOCKET, SO_PEERSEC}, {SOL_SOCKET, SO_PROTOCOL}, {SOL_SOCKET, SO_DOMAIN},
	{SOL_SOCKET, SO_BPF_EXTENSIONS}, {SOL_SOCKET, SO_MEMINFO},
	{SOL_SOCKET, SO_INCOMING_NAPI_ID}, {SOL_SOCKET, SO_COOKIE}, {SOL_SOCKET, SO_PEERGROUPS},
	{SOL_SOCKET, SO_NETNS_COOKIE}, {SOL_SOCKET, SOCKOPT_PEERPIDFD}, {SOL_SOCKET, SO_DEBUG},
	{SOL_SOCKET, SO_MARK}, {SOL_SOCKET, SO_BSDCOMPAT}, {SOL_SOCKET, SO_SNDLOWAT},
	/* The same as others: SO_BINDTOIFINDEX, and older ones of 64 bits. */
	{SOL_SOCKET, SO_BINDTODEVICE}, {SOL_SOCKET, SOCKOPT_TIMESTAMPING_N},
	{SOL_SOCKET, SOCKOPT_RCVTIMEO_N}, {SOL_SOCKET, SOCKOPT_SNDTIMEO_N}, {IPPROTO_TCP, TCP_INFO},
	{IPPROTO_TCP, TCP_CC_INFO}, {IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE},
	{IPPROTO_TCP, TCP_TIMESTAMP}, {IPPROTO_TCP, TCP_MAXSEG}};

static bool
sockopt_is_skipped(int level, int number)
{
	for (size_t i = 0; i < sizeof(sockopt_skipped) / sizeof(*sockopt_skipped); i++) {
		if (sockopt_skipped[i].level == level && sockopt_skipped[i].number == number)
			return true;
	}
	return false;
}

static void
sockopt_read(int socket, int level, int number, struct sockopt *ret)
{
	socklen_t length = sizeof(ret->value);

	*ret = (struct sockopt){.level = (int16_t)level, .number = (int16_t)number};
	if (getsockopt(socket, level, number, ret->value, &length) < 0)
		ret->code = (int16_t)errno;
	else
		ret->length = (uint16_t)length;
}

static void
sockopt_learn_level(int socket, int level, struct sockopts *ret)
{
	for (int number = 1; number < SOCKOPT_NUMBERS && ret->n < SOCKOPT_MAX; number++) {
		struct sockopt *option = &ret->at[ret->n];

		if (sockopt_is_skipped(level, number))
			continue;
		sockopt_read(socket, level, number, option);
		if (option->code != ENOPROTOOPT && option->code != EOPNOTSUPP)
			ret->n++;
	}
}

void
sockopt_learn(int socket, int domain, struct sockopts *ret)
{
	ret->n = 0;
	sockopt_learn_level(socket, SOL_SOCKET, ret);
	if (domain == AF_UNIX)
		return;
	sockopt_learn_level(socket, IPPROTO_TCP, ret);
	sockopt_learn_level(socket, domain == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, ret);
}

static bool
sockopt_is_same(int socket, const struct sockopt *was)
{
	struct sockopt is;

	sockopt_read(socket, was->level, was->number, &is);
	return is.code == was->code && is.length == was->length &&
	       memcmp(is.value, was->value, sizeof(is.value)) == 0;
}

const struct sockopt *
sockopt_find_changed(int socket, const struct sockopts *was)
{
	for (size_t i = 0; i < was->n; i++) {
		if (!sockopt_is_same(socket, &was->at[i]))
			return &was->at[i];
	}
	return NULL;
}

/* A size is doubled when it is set, and setting it says that it is not to grow or shrink. */
static void
sockopt_put_back_size(int socket, const struct sockopt *was)
{
	int size, lock = 0;
	socklen_t length = sizeof(lock);

	memcpy(&size, was->value, sizeof(size));
	size /= 2;
	getsockopt(socket, SOL_SOCKET, SOCKOPT_BUF_LOCK, &lock, &length);
	setsockopt(socket, SOL_SOCKET, was->number, &size, sizeof(size));
	setsockopt(socket, SOL_SOCKET, SOCKOPT_BUF_LOCK, &lock, sizeof(lock));
}

/* Its time is set only together with its being on. */
static void
sockopt_put_back_linger(int socket, const struct sockopt *was)
{
	struct linger linger;

	memcpy(&linger, was->value, sizeof(linger));
	linger.l_onoff = 1;
	setsockopt(socket, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	setsockopt(socket, SOL_SOCKET, SO_LINGER, was->value, was->length);
}

bool
sockopt_put_back(int socket, const struct sockopt *was)
{
	bool is_own = was->level == SOL_SOCKET;
	int any = 0;

	if (is_own && (was->number == SO_RCVBUF || was->number == SO_SNDBUF))
		sockopt_put_back_size(socket, was);
	else if (is_own && was->number == SO_LINGER)
		sockopt_put_back_linger(socket, was);
	else if (is_own && was->number == SO_ATTACH_FILTER) /* that is SO_GET_FILTER */
		setsockopt(socket, SOL_SOCKET, SO_DETACH_FILTER, &any, sizeof(any));
	else
		setsockopt(socket, was->level, was->number, was->value, was->length);
	return sockopt_is_same(socket, was);
}
