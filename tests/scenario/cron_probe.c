/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cron_probe - answers questions about zones and cron entries, a line each, for test_cron.py.
 *
 *	offset ZONE SECONDS...         seconds east at each moment
 *	moments ZONE LOCAL...          "n first second" for each local time, with commas between
 *	cron ZONE AFTER N EXPRESSION   the next N times, "none" where there is none
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/cron.h"
#include "base/own.h"

OWN_DEFINE(zone, struct zone *, zone_free)

static int64_t
probe_number(struct str *line)
{
	OWN(mem) char *word = str_dup(str_cut(line, ' '));

	return strtoll(word, NULL, 10);
}

static void
probe_moments(const struct zone *zone, struct str line)
{
	while (line.len) {
		int64_t first, second;
		int n = zone_moments(zone, probe_number(&line), &first, &second);

		printf("%d,%" PRId64 ",%" PRId64 " ", n, first, second);
	}
}

static int
probe_cron(const struct zone *zone, struct str line, struct err *err)
{
	uint64_t at_ms = (uint64_t)probe_number(&line) * 1000;
	int64_t n = probe_number(&line);
	struct cron cron;
	int rc = cron_parse(line, &cron, err);

	for (; rc == 0 && n > 0; n--) {
		at_ms = cron_next(&cron, zone, 0, at_ms);
		if (!at_ms) {
			printf("none");
			break;
		}
		printf("%" PRIu64 " ", at_ms / 1000);
	}
	return rc;
}

static int
probe_line(struct str line, struct err *err)
{
	OWN(zone) struct zone *zone = NULL;
	struct str verb = str_cut(&line, ' ');
	int rc = zone_open(str_cut(&line, ' '), &zone, err);

	if (rc < 0)
		return rc;
	if (str_eq(verb, STR("cron")))
		return probe_cron(zone, line, err);
	if (str_eq(verb, STR("moments")))
		probe_moments(zone, line);
	while (str_eq(verb, STR("offset")) && line.len)
		printf("%" PRId32 " ", zone_offset(zone, probe_number(&line)));
	return 0;
}

int
main(void)
{
	OWN(mem) char *line = NULL;
	size_t size = 0;
	ssize_t len;

	while ((len = getline(&line, &size, stdin)) > 0) {
		struct err err = {0};

		if (probe_line(str_n(line, (size_t)len - 1), &err) < 0)
			printf("error %s", err.text);
		printf("\n");
	}
	return 0;
}
