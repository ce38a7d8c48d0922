/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pace - an open-loop HTTP load: one request every 1/rate seconds, whatever the answers do.
 *
 *	pace HOST PORT PATH RATE SECONDS
 *
 * One keep-alive connection; a request is sent at its planned time, or as soon as the answer
 * before it is in, and its latency counts from the planned time, so waiting is not hidden
 * (coordinated omission). Prints JSON: n, errors, p50_us, p99_us, max_us.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MAX 65536

static uint64_t
now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void
sleep_until(uint64_t when_ns)
{
	struct timespec time = {(time_t)(when_ns / 1000000000u), (long)(when_ns % 1000000000u)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) != 0)
		;
}

static int
dial(const char *host, const char *port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (inet_pton(AF_INET, host, &address.sin_addr) != 1 ||
		connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		perror("pace: connecting");
		exit(1);
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

/* Bytes of the whole answer (head with Content-Length, or the end of a chunked body), 0 if it is
 * not complete yet. */
static size_t
answer_size(const char *bytes, size_t len)
{
	const char *end = memmem(bytes, len, "\r\n\r\n", 4);
	const char *length;

	if (!end)
		return 0;
	size_t head = (size_t)(end - bytes) + 4;

	length = strcasestr(bytes, "\r\ncontent-length:");
	if (length && length < end)
		return head + strtoul(length + 17, NULL, 10);
	return memmem(end, len - head + 4, "\r\n0\r\n\r\n", 7) ? len : 0;
}

static bool
exchange(int fd, const char *request, size_t n)
{
	static char answer[ANSWER_MAX + 1];
	size_t len = 0;

	if (write(fd, request, n) != (ssize_t)n)
		return false;
	while (len < ANSWER_MAX) {
		ssize_t got = read(fd, answer + len, ANSWER_MAX - len);

		if (got <= 0)
			return false;
		len += (size_t)got;
		answer[len] = 0;
		size_t size = answer_size(answer, len);

		if (size && len >= size)
			return memcmp(answer, "HTTP/1.1 200", 12) == 0;
	}
	return false;
}

static int
by_size(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return left < right ? -1 : left > right;
}

int
main(int argc, char **argv)
{
	char request[1024];

	if (argc != 6) {
		fprintf(stderr, "usage: pace HOST PORT PATH RATE SECONDS\n");
		return 2;
	}
	double rate = atof(argv[4]);
	size_t n = (size_t)(rate * atof(argv[5])), errors = 0;
	uint64_t *latency = calloc(n + 1, sizeof(*latency));
	int fd = dial(argv[1], argv[2]);
	int size = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: %s:%s\r\n\r\n",
		argv[3], argv[1], argv[2]);
	uint64_t start = now_ns();

	for (size_t i = 0; i < n; i++) {
		uint64_t planned = start + (uint64_t)((double)i * 1e9 / rate);

		sleep_until(planned);
		if (!exchange(fd, request, (size_t)size)) {
			errors++;
			close(fd);
			fd = dial(argv[1], argv[2]);
		}
		latency[i] = now_ns() - planned;
	}
	qsort(latency, n, sizeof(*latency), by_size);
	printf("{\"n\": %zu, \"errors\": %zu, \"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": "
	       "%.1f}\n",
		n, errors, (double)latency[n / 2] / 1e3, (double)latency[n * 99 / 100] / 1e3,
		n ? (double)latency[n - 1] / 1e3 : 0.0);
	free(latency);
	return 0;
}
