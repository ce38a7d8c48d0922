/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unpack - the contract with mayfly-unpack, the program that makes a tree of an uploaded source.
 *
 *	mayfly-unpack [BYTES [ENTRIES]]       archive on descriptor 3, the empty tree at /out
 *
 * The kind is told by the first bytes: zip, tar, gzip'ed tar, or one source file, which stands
 * behind a line that names it, so that its name is a part of the blob and of its digest:
 *
 *	mayfly-source index.js\n<the bytes of the file>
 *
 * Exit 0 when the tree is whole; else 1, with one line for the developer on descriptor 2
 * ("main.py/../../etc: the path has '..'"). A tree has folders (0755), files (0644, 0755 where the
 * owner may execute) and symlinks that stay inside; nothing else, and nothing outside of /out.
 *
 * When the tree is whole, descriptor 1 gets a report on what a build goes by: the files at the top
 * of the tree that say which dependencies there are, and whether they came along. Nobody outside
 * of a sandbox reads a tree.
 *
 *	file package.json 9f86d08…0a08 1042\n      each of UNPACK_MANIFESTS that is a file there:
 *its SHA-256 and its size text package.json 1042\n<the bytes>\n     behind it, of package.json and
 *requirements.txt, if it has at most UNPACK_TEXT_MAX bytes folder node_modules\n if there is a
 *folder of that name
 *
 * $MAYFLY_UNPACK_OUT replaces /out where the program runs outside of a sandbox, in tests.
 */
#ifndef MAYFLY_SANDBOX_UNPACK_H
#define MAYFLY_SANDBOX_UNPACK_H

#define UNPACK_SOURCE_MARK     "mayfly-source "
#define UNPACK_BYTES_DEFAULT   (512ull << 20)
#define UNPACK_ENTRIES_DEFAULT 50000u
#define UNPACK_PATH_MAX        1024u /* bytes of a path */
#define UNPACK_DEPTH_MAX       32u   /* components of a path */
#define UNPACK_NAME_MAX        255u  /* bytes of a component */
#define UNPACK_RATIO_MAX       200u  /* unpacked bytes per packed byte, above the first 8 MiB */

#define UNPACK_MANIFESTS                                                                           \
	"package.json", "package-lock.json", "npm-shrinkwrap.json", ".npmrc", "requirements.txt"
#define UNPACK_TEXT_MAX 65536u

#endif
