/* SPDX-License-Identifier: Apache-2.0 */
/*
 * root_files - the list of what a root is made of, before a byte is written.
 *
 * Every entry has the path that it gets inside; paths are canonical, folders and symlinks on the
 * way to a file are entries too, so a root looks to the dynamic linker as the host does. Shared
 * objects are found by the host's own dynamic linker (`ld.so --list`), run on trusted host files.
 * Only looks at the host. Start-up only, one thread.
 */
#ifndef MAYFLY_SANDBOX_ROOT_FILES_H
#define MAYFLY_SANDBOX_ROOT_FILES_H

#include <stdint.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"

enum root_entry_kind { ROOT_FOLDER, ROOT_FILE, ROOT_LINK, ROOT_TEXT };

struct root_entry {
	enum root_entry_kind kind;
	char *path;     /* owned; inside, absolute */
	char *source;   /* owned; FILE: the host's, LINK: the target, TEXT: the bytes */
	struct stat st; /* FILE: of the source */
};

struct root_files {
	struct root_entry **entries; /* owned */
	size_t n, cap;
	struct map by_path; /* path → struct root_entry, borrowed from entries */
};

#define ROOT_FILES_INIT ((struct root_files){NULL, 0, 0, MAP_INIT})

void root_files_done(struct root_files *files);

/* A host file or a whole folder, at its own path. ERR_NOT_FOUND names what is not there. */
int root_files_add(struct root_files *files, const char *path, struct err *err);

/* The same, standing at `path` inside. */
int root_files_add_as(
	struct root_files *files, const char *source, const char *path, struct err *err);

void root_files_add_folder(struct root_files *files, const char *path);
void root_files_add_link(struct root_files *files, const char *path, const char *target);
void root_files_add_text(struct root_files *files, const char *path, const char *text);

/* Finds the shared objects of every ELF file in the list and adds them. `found` gets a line for
 * each ("path" or "link=target"), which root_files_add_found() takes next time. */
int root_files_find_libraries(struct root_files *files, struct buf *found, struct err *err);
int root_files_add_found(struct root_files *files, struct str found, struct err *err);

/* Sorts the entries by path: a folder comes before what is in it. */
void root_files_sort(struct root_files *files);

/* One line for each entry, in order; another text whenever the root would be another. */
void root_files_describe(const struct root_files *files, struct buf *out);

static inline void
own_root_files(struct root_files *files)
{
	root_files_done(files);
}

#endif
