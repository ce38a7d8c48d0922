/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/language_host.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/own.h"
#include "base/path.h"

#define ASK_US     5000000ull
#define ANSWER_MAX 4096

extern char **environ;

void
language_words_add(struct language_words *words, const char *word)
{
	if (words->n + 1 >= words->cap) {
		words->cap = words->cap ? words->cap * 2 : 16;
		words->at = mem_grow(words->at, words->cap * sizeof(*words->at));
	}
	words->at[words->n++] = str_dup(str_of(word));
	words->at[words->n] = NULL;
}

void
language_words_add_all(struct language_words *words, const char *const *list)
{
	for (; list && *list; list++)
		language_words_add(words, *list);
}

void
language_words_done(struct language_words *words)
{
	for (size_t i = 0; i < words->n; i++)
		free(words->at[i]);
	free(words->at);
	*words = (struct language_words){NULL, 0, 0};
}

static bool
has_word(const struct language_words *words, const char *word)
{
	for (size_t i = 0; i < words->n; i++) {
		if (strcmp(words->at[i], word) == 0)
			return true;
	}
	return false;
}

static void
add_once(struct language_words *words, struct str word)
{
	OWN(mem) char *copy = str_dup(word);

	if (word.len && word.at[0] == '/' && !has_word(words, copy))
		language_words_add(words, copy);
}

void
language_host_folders(const char *const *more, struct language_words *ret)
{
	struct str path = str_of(getenv("PATH"));
	glob_t found;

	while (path.len)
		add_once(ret, str_cut(&path, ':'));
	add_once(ret, STR("/usr/bin"));
	add_once(ret, STR("/usr/local/bin"));
	if (glob("/opt/*/bin", 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++)
			add_once(ret, str_of(found.gl_pathv[i]));
		globfree(&found);
	}
	for (; more && *more; more++)
		add_once(ret, str_of(*more));
}

/* ---- finding programs ---- */

static bool
is_named(const char *name, const char *stem)
{
	size_t len = strlen(stem);

	return strncmp(name, stem, len) == 0 &&
	       strspn(name + len, "0123456789.") == strlen(name + len);
}

static bool
is_elf_program(const char *path)
{
	OWN(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	char magic[SELFMAG];

	return fd >= 0 && read(fd, magic, SELFMAG) == SELFMAG &&
	       memcmp(magic, ELFMAG, SELFMAG) == 0 && access(path, X_OK) == 0;
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
each_in_folder(const char *place, const char *stem, struct language_words *seen,
	language_host_fn *fn, void *arg)
{
	OWN(dir) DIR *folder = opendir(place);
	struct language_words names = {0};
	struct dirent *entry;

	while (folder && (entry = readdir(folder))) {
		if (is_named(entry->d_name, stem))
			language_words_add(&names, entry->d_name);
	}
	if (names.n)
		qsort(names.at, names.n, sizeof(*names.at), compare);
	for (size_t i = 0; i < names.n; i++) {
		OWN(mem) char *path = path_join(place, names.at[i]);
		OWN(mem) char *canonical = realpath(path, NULL);

		if (!canonical || has_word(seen, canonical) || !is_elf_program(canonical))
			continue;
		language_words_add(seen, canonical);
		fn(canonical, place, arg);
	}
	language_words_done(&names);
}

void
language_host_each(
	const struct language_words *folders, const char *stem, language_host_fn *fn, void *arg)
{
	struct language_words seen = {0};

	for (size_t i = 0; i < folders->n; i++)
		each_in_folder(folders->at[i], stem, &seen, fn, arg);
	language_words_done(&seen);
}

char *
language_host_find(const struct language_words *folders, const char *name)
{
	for (size_t i = 0; i < folders->n; i++) {
		OWN(mem) char *path = path_join(folders->at[i], name);

		if (access(path, X_OK) == 0)
			return take_ptr(&path);
	}
	return NULL;
}

/* ---- asking one ---- */

/* Reads to the end or to the deadline; true at the end. */
static bool
read_answer(int fd, struct buf *out)
{
	uint64_t deadline_us = clock_mono_us() + ASK_US;

	for (;;) {
		uint64_t now_us = clock_mono_us();
		struct pollfd item = {.fd = fd, .events = POLLIN};
		ssize_t n;

		if (now_us >= deadline_us || out->len > ANSWER_MAX)
			return false;
		if (poll(&item, 1, (int)((deadline_us - now_us) / 1000) + 1) <= 0)
			continue;
		n = read(fd, buf_room(out, 1024), 1024);
		if (n == 0)
			return true;
		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0)
			buf_grew(out, (size_t)n);
	}
}

static int
start(const char *const *argv, int out, pid_t *ret)
{
	/* Nothing of our environment changes what an interpreter says of itself. */
	static char *const env[] = {"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", NULL};
	posix_spawn_file_actions_t actions;
	int rc;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	rc = posix_spawn(ret, argv[0], &actions, NULL, (char *const *)argv, env);
	posix_spawn_file_actions_destroy(&actions);
	return rc;
}

bool
language_host_ask(const char *const *argv, struct buf *out)
{
	int fds[2], rc, status = -1;
	bool is_read;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return false;
	rc = start(argv, fds[1], &pid);
	close(fds[1]);
	if (rc) {
		close(fds[0]);
		return false;
	}
	is_read = read_answer(fds[0], out);
	close(fds[0]);
	if (!is_read)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return is_read && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
