/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/sockopt.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#define SOCKOPT_NUMBERS  100
#define SOCKOPT_BUF_LOCK 72 /* SO_BUF_LOCK, Linux 5.16 */

/* What a sandbox lets be set and does not change by itself. SO_ATTACH_FILTER is SO_GET_FILTER here,
 * SO_DETACH_FILTER undoes it. */
static const int sockopt_own[] = {SO_REUSEADDR, SO_DONTROUTE, SO_BROADCAST, SO_SNDBUF, SO_RCVBUF,
	SO_KEEPALIVE, SO_OOBINLINE, SO_PRIORITY, SO_LINGER, SO_REUSEPORT, SO_PASSCRED, SO_RCVLOWAT,
	SO_RCVTIMEO, SO_SNDTIMEO, SO_ATTACH_FILTER, SO_TIMESTAMP, SO_TIMESTAMPNS, SO_TIMESTAMPING,
	SO_PEEK_OFF, SO_INCOMING_CPU, SO_ZEROCOPY, SOCKOPT_BUF_LOCK /* set with a size */};

/* Answers of TCP that change by themselves, or cost. */
static const int sockopt_lively[] = {
	TCP_INFO, TCP_CC_INFO, TCP_ZEROCOPY_RECEIVE, TCP_TIMESTAMP, TCP_MAXSEG};

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

static bool
sockopt_learn_one(int socket, int level, int number, struct sockopts *ret)
{
	struct sockopt *option = &ret->at[ret->n];

	if (ret->n == SOCKOPT_MAX)
		return false;
	sockopt_read(socket, level, number, option);
	if (option->code != ENOPROTOOPT && option->code != EOPNOTSUPP)
		ret->n++;
	return option->length < SOCKOPT_VALUE_SIZE;
}

static bool
sockopt_is_lively(int level, int number)
{
	for (size_t i = 0; i < sizeof(sockopt_lively) / sizeof(*sockopt_lively); i++) {
		if (level == IPPROTO_TCP && sockopt_lively[i] == number)
			return true;
	}
	return false;
}

static bool
sockopt_learn_level(int socket, int level, struct sockopts *ret)
{
	bool are_kept = true;

	for (int number = 1; number < SOCKOPT_NUMBERS; number++) {
		if (!sockopt_is_lively(level, number))
			are_kept &= sockopt_learn_one(socket, level, number, ret);
	}
	return are_kept;
}

/* A socket of IPv6 has the options of IPv4 too. */
bool
sockopt_learn(int socket, int domain, struct sockopts *ret)
{
	bool are_kept = true;

	ret->n = 0;
	for (size_t i = 0; i < sizeof(sockopt_own) / sizeof(*sockopt_own); i++)
		are_kept &= sockopt_learn_one(socket, SOL_SOCKET, sockopt_own[i], ret);
	if (domain == AF_UNIX)
		return are_kept;
	are_kept &= sockopt_learn_level(socket, IPPROTO_TCP, ret);
	are_kept &= sockopt_learn_level(socket, IPPROTO_IP, ret);
	return domain == AF_INET ? are_kept
				 : sockopt_learn_level(socket, IPPROTO_IPV6, ret) && are_kept;
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

/* It is doubled when it is set. */
static void
sockopt_put_back_size(int socket, const struct sockopt *was)
{
	int size;

	memcpy(&size, was->value, sizeof(size));
	size /= 2;
	setsockopt(socket, SOL_SOCKET, was->number, &size, sizeof(size));
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
