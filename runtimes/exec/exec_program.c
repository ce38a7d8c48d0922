/* SPDX-License-Identifier: Apache-2.0 */
#include "exec_program.h"

#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#define LISTED_MAX 10

static bool
is_file(const char *folder, const char *name, struct stat *st)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%.2047s/%.2047s", folder, name);
	return stat(path, st) == 0 && S_ISREG(st->st_mode);
}

/* "it has a, b" or "it is empty". */
static void
list_folder(const char *folder, char *ret, size_t size)
{
	DIR *stream = opendir(folder);
	struct dirent *entry;
	size_t n = 0, at = 0;

	snprintf(ret, size, "the code is empty");
	while (stream && (entry = readdir(stream)) && n < LISTED_MAX && at + 1 < size) {
		if (entry->d_name[0] == '.')
			continue;
		at += (size_t)snprintf(
			ret + at, size - at, "%s%s", n ? ", " : "the code has ", entry->d_name);
		n++;
	}
	if (stream)
		closedir(stream);
}

/* The name that needs no handler to be said: 0 none, 1 found, 2 several. */
static int
find_default(const char *folder, char ret[NAME_MAX + 1])
{
	static const char *const usual[] = {"bootstrap", "handler", NULL};
	DIR *stream = opendir(folder);
	struct dirent *entry;
	struct stat st;
	int n_executable = 0, n_named = 0;
	char named[NAME_MAX + 1] = "";

	for (size_t i = 0; usual[i]; i++) {
		if (!is_file(folder, usual[i], &st))
			continue;
		snprintf(ret, NAME_MAX + 1, "%s", usual[i]);
		if (stream)
			closedir(stream);
		return 1;
	}
	while (stream && (entry = readdir(stream))) {
		if (!is_file(folder, entry->d_name, &st))
			continue;
		if (strncmp(entry->d_name, "handler.", 8) == 0 && ++n_named)
			snprintf(named, sizeof(named), "%s", entry->d_name);
		if ((st.st_mode & 0111) && ++n_executable)
			snprintf(ret, NAME_MAX + 1, "%s", entry->d_name);
	}
	if (stream)
		closedir(stream);
	if (n_named == 1)
		memcpy(ret, named, sizeof(named));
	return n_named == 1 ? 1 : n_executable > 1 ? 2 : n_executable;
}

/* The machine of this program, as every program here must have it. */
static unsigned
own_machine(void)
{
	const ElfW(Phdr) *parts = (const void *)getauxval(AT_PHDR);
	const ElfW(Ehdr) *head = (const void *)((const char *)parts - sizeof(ElfW(Ehdr)));

	return memcmp(head->e_ident, ELFMAG, SELFMAG) == 0 ? head->e_machine : EM_NONE;
}

static bool
check_script(const char *name, char *line, char *ret, size_t size)
{
	char *program = line + 2 + strspn(line + 2, " \t");

	program[strcspn(program, " \t\r\n")] = '\0';
	if (line[2 + strspn(line + 2, " \t")] && access(program, X_OK) == 0)
		return true;
	snprintf(ret, size, "%s asks for '%s' in its first line, which the runtime does not have",
		name, program);
	return false;
}

static bool
check_program(const char *path, const char *name, char *ret, size_t size)
{
	char head[256] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, head, sizeof(head) - 1);
	ElfW(Ehdr) elf;

	if (fd >= 0)
		close(fd);
	if (n > 2 && head[0] == '#' && head[1] == '!')
		return check_script(name, head, ret, size);
	if (n >= (ssize_t)sizeof(elf) && memcmp(head, ELFMAG, SELFMAG) == 0) {
		memcpy(&elf, head, sizeof(elf));
		if (own_machine() == EM_NONE || elf.e_machine == own_machine())
			return true;
		snprintf(ret, size, "%s is a program for another kind of machine (ELF machine %u)",
			name, elf.e_machine);
		return false;
	}
	snprintf(ret, size,
		"%s is neither a program nor a script: its first line must be '#!' and "
		"what runs it, as in #!/bin/sh",
		name);
	return false;
}

bool
exec_program_find(const char *folder, const char *handler, char *ret, size_t size)
{
	char name[PATH_MAX], path[PATH_MAX], listing[512];
	struct stat st;
	int found = 1;

	snprintf(name, sizeof(name), "%s", handler);
	if (!*handler)
		found = find_default(folder, name);
	list_folder(folder, listing, sizeof(listing));
	if (found == 0) {
		snprintf(ret, size,
			"nothing in the code can be executed: %s (is a file's mode 0755?)",
			listing);
		return false;
	}
	if (found == 2) {
		snprintf(ret, size,
			"several files can be executed, say which one as the handler: %s", listing);
		return false;
	}
	if (!is_file(folder, name, &st)) {
		snprintf(ret, size, "there is no file %.255s: %s", name, listing);
		return false;
	}
	if (!(st.st_mode & 0111)) {
		snprintf(ret, size, "%.255s cannot be executed: chmod +x %.255s", name, name);
		return false;
	}
	snprintf(path, sizeof(path), "%.2047s/%.2047s", folder, name);
	if (!check_program(path, name, ret, size))
		return false;
	snprintf(ret, size, "%s", path);
	return true;
}
