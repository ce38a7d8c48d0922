/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay - runs every file of a corpus folder through LLVMFuzzerTestOneInput(), as TAP.
 *
 * The process is the judge: a broken promise, a sanitizer or a crash ends it before the plan is
 * printed. An empty corpus fails.
 */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/own.h"
#include "base/path.h"

#define REPLAY_MAX_BYTES (8u << 20)

/* A copy of its own size, so that AddressSanitizer sees a read past the end. */
static void
replay_run(struct str input)
{
	OWN(mem) uint8_t *exact = malloc(input.len ? input.len : 1);

	must(exact);
	if (input.len)
		memcpy(exact, input.at, input.len);
	LLVMFuzzerTestOneInput(exact, input.len);
}

static int
replay_file(const char *folder, const char *name, int number)
{
	OWN(mem) char *path = path_join(folder, name);
	OWN(buf) struct buf input = BUF_INIT;
	struct err err = {0};

	if (path_read(path, REPLAY_MAX_BYTES, &input, &err) < 0) {
		printf("not ok %d - %s: %s\n", number, name, err.text);
		return -1;
	}
	replay_run(buf_str(&input));
	printf("ok %d - %s\n", number, name);
	return 0;
}

int
main(int argc, char **argv)
{
	OWN(dir) DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
	struct dirent *entry;
	int n = 0, n_failed = 0;

	if (!folder) {
		fprintf(stderr, "usage: %s CORPUS-FOLDER\n", argv[0]);
		return 2;
	}
	while ((entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			n_failed += replay_file(argv[1], entry->d_name, ++n) < 0;
	if (n == 0) {
		n_failed++;
		printf("not ok %d - %s has no file\n", ++n, argv[1]);
	}
	printf("1..%d\n", n);
	return n_failed ? 1 : 0;
}
