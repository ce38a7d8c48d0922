/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/language.h"

#include <dirent.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/path.h"
#include "runtime/language_host.h"

#define LANGUAGES_MAX 24
#define ROOTS_MAX     (2 * LANGUAGES_MAX + 2)

#define NODE_OLDEST   18
#define PYTHON_OLDEST 9 /* 3.9 */

/* What wheels, addons and programs expect of a host besides libc: the libraries that manylinux
 * lets them take for granted. Those that are not there are left out. */
static const char *const common_libraries[] = {"libc.so.6", "libm.so.6", "libdl.so.2",
	"libpthread.so.0", "librt.so.1", "libutil.so.1", "libresolv.so.2", "libnss_dns.so.2",
	"libnss_files.so.2", "libgcc_s.so.1", "libstdc++.so.6", NULL};

static const char *const common_files[] = {"/etc/ssl/certs/ca-certificates.crt",
	"/etc/ssl/openssl.cnf", "/usr/lib/locale/C.utf8", NULL};

/* Programs for shell functions, for install scripts, and for bootstraps. */
static const char *const tools[] = {"sh", "bash", "dash", "cat", "ls", "cp", "mv", "rm", "mkdir",
	"rmdir", "ln", "chmod", "touch", "mktemp", "readlink", "realpath", "basename", "dirname",
	"pwd", "env", "printenv", "echo", "printf", "true", "false", "test", "[", "expr", "seq",
	"sleep", "date", "timeout", "nproc", "uname", "id", "whoami", "tty", "yes", "kill", "nice",
	"head", "tail", "wc", "sort", "uniq", "cut", "paste", "join", "tr", "tee", "fold", "fmt",
	"nl", "tac", "rev", "comm", "split", "csplit", "shuf", "expand", "unexpand", "od", "base64",
	"base32", "md5sum", "sha1sum", "sha256sum", "sha512sum", "cksum", "cmp", "diff", "stat",
	"du", "df", "dd", "truncate", "numfmt", "factor", "sed", "grep", "egrep", "fgrep", "awk",
	"mawk", "gawk", "find", "xargs", "which", "ps", "hexdump", "xxd", "bc", "jq", "tar", "gzip",
	"gunzip", "zcat", "perl", NULL};

static const char *const native_tools[] = {"curl", NULL};

static struct language languages[LANGUAGES_MAX];
static size_t n_languages;
static struct root_plan roots[ROOTS_MAX];
static size_t n_roots;
static const struct root_plan *unpack_root;

/* What a scan goes by. */
struct language_scan {
	struct language_words folders; /* of programs */
	struct language_words python;  /* what the first Python is made of, its program first */
	char *program_pack, *program_exec, *program_lambda, *program_unpack; /* owned */
	char *addon_python;                                                  /* owned */
	char *addon_node;                                                    /* owned */
};

/* ---- root plans ---- */

static void
add_there(struct language_words *files, const char *path)
{
	if (access(path, F_OK) == 0)
		language_words_add(files, path);
}

static void
add_library(struct language_words *files, const char *name)
{
	static const char *const folders[] = {
		"/lib/*-linux-gnu*", "/lib64", "/usr/lib64", "/lib", "/usr/lib", NULL};

	for (size_t i = 0; folders[i]; i++) {
		OWN(mem) char *pattern = path_join(folders[i], name);
		glob_t found;

		if (glob(pattern, 0, NULL, &found))
			continue;
		language_words_add(files, found.gl_pathv[0]);
		globfree(&found);
		return;
	}
}

static void
add_common(struct language_words *files)
{
	for (size_t i = 0; common_libraries[i]; i++)
		add_library(files, common_libraries[i]);
	for (size_t i = 0; common_files[i]; i++)
		add_there(files, common_files[i]);
}

static void
add_tools(const struct language_scan *scan, struct language_words *files, const char *const *names)
{
	for (; *names; names++) {
		OWN(mem) char *path = language_host_find(&scan->folders, *names);

		if (path)
			language_words_add(files, path);
	}
}

/* The modules of perl that Debian counts as its base. */
static void
add_perl(struct language_words *files)
{
	glob_t found;

	if (glob("/usr/lib/*/perl-base", 0, NULL, &found))
		return;
	language_words_add(files, found.gl_pathv[0]);
	globfree(&found);
}

/* Takes what the words own: plans live as long as the process. */
static struct root_plan *
add_root(const char *name, const char *suffix, struct language_words *files)
{
	static const char *const utc[] = {"/etc/localtime=/usr/share/zoneinfo/UTC", NULL};
	struct root_plan *plan = &roots[n_roots++];

	must(n_roots <= ROOTS_MAX);
	snprintf(plan->name, sizeof(plan->name), "%.24s%s", name, suffix);
	plan->files = (const char *const *)take_ptr(&files->at);
	plan->links = utc;
	return plan;
}

static const char *const *
words_of(const char *a, const char *b, const char *c, const char *d)
{
	struct language_words words = {0};
	const char *all[] = {a, b, c, d, NULL};

	language_words_add_all(&words, all);
	return (const char *const *)words.at;
}

static const char *
shim_of(const char *family)
{
	OWN(mem) char *runtimes = path_join(path_share(), "runtimes");

	return path_join(runtimes, family);
}

/* ---- languages ---- */

static struct language *
add_language(const char *family, const char *name, const char *version, const char *path)
{
	struct language *language = &languages[n_languages];

	if (n_languages == LANGUAGES_MAX || language_find(name))
		return NULL;
	n_languages++;
	snprintf(language->family, sizeof(language->family), "%s", family);
	snprintf(language->name, sizeof(language->name), "%s", name);
	snprintf(language->version, sizeof(language->version), "%s", version);
	snprintf(language->path, sizeof(language->path), "%s", path);
	return language;
}

static struct language_build *
new_build(const struct root_plan *root, const char *const *command, const char *const *manifests)
{
	struct language_build *build = mem_new(sizeof(*build));

	*build = (struct language_build){root, command, manifests};
	return build;
}

/* npm's own folder, from the command that stands in a folder of programs. Debian's npm takes its
 * parts from /usr/share/nodejs, all of which is given then. */
static char *
find_npm(const struct language_scan *scan, const char *place)
{
	static const char debian[] = "/usr/share/nodejs/";
	OWN(mem) char *beside = path_join(place, "npm");
	OWN(mem) char *canonical = realpath(beside, NULL);
	char *end;

	if (!canonical) {
		OWN(mem) char *any = language_host_find(&scan->folders, "npm");

		canonical = any ? realpath(any, NULL) : NULL;
	}
	end = canonical ? strstr(canonical, "/bin/npm-cli.js") : NULL;
	if (!end)
		return NULL;
	if (strncmp(canonical, debian, strlen(debian)) == 0)
		end = canonical + strlen(debian) - 1;
	*end = '\0';
	return take_ptr(&canonical);
}

/* Debian's node reads a part of its own library from files, by the paths that it was built with,
 * and does not start without them. */
static void
add_node(struct language_words *files, const char *path)
{
	static const char *const parts[] = {"/usr/share/nodejs/acorn",
		"/usr/share/nodejs/acorn-walk", "/usr/share/nodejs/amaro",
		"/usr/share/nodejs/cjs-module-lexer", "/usr/share/nodejs/minimatch",
		"/usr/share/nodejs/undici", NULL};

	language_words_add(files, path);
	if (strncmp(path, "/usr/bin/", strlen("/usr/bin/")) != 0)
		return;
	for (size_t i = 0; parts[i]; i++)
		add_there(files, parts[i]);
}

static void
add_node_build(struct language *language, const struct language_scan *scan, const char *npm)
{
	static const char *const manifests[] = {
		"package-lock.json", "npm-shrinkwrap.json", "package.json", NULL};
	bool is_debian = strcmp(npm, "/usr/share/nodejs") == 0;
	OWN(mem) char *cli = mem_printf("%s%s/bin/npm-cli.js", npm, is_debian ? "/npm" : "");
	struct language_words files = {0};
	struct root_plan *plan;

	add_node(&files, language->path);
	language_words_add(&files, npm);
	add_tools(scan, &files, tools);
	add_common(&files);
	plan = add_root(language->name, "-build", &files);
	plan->shim = language->root->shim;
	plan->programs = words_of(scan->program_pack, NULL, NULL, NULL);
	language->build = new_build(
		plan, words_of(language->path, "/runtime/build.js", cli, NULL), manifests);
}

static void
on_node(const char *path, const char *place, void *arg)
{
	/* An installed package is found in /node_modules as in the folder of the code. */
	static const char *const links[] = {
		"/etc/localtime=/usr/share/zoneinfo/UTC", "/node_modules=deps", NULL};
	const char *const argv[] = {path, "--version", NULL};
	const struct language_scan *scan = arg;
	OWN(buf) struct buf answer = BUF_INIT;
	struct language_words files = {0};
	struct language *language;
	OWN(mem) char *npm = NULL;
	struct root_plan *plan;
	unsigned major;
	char name[32], version[24];

	if (!language_host_ask(argv, &answer) || !answer.len ||
		sscanf(answer.at, "v%u", &major) != 1 || major < NODE_OLDEST ||
		sscanf(answer.at, "v%23s", version) != 1)
		return;
	snprintf(name, sizeof(name), "node%u", major);
	language = add_language("node", name, version, path);
	if (!language)
		return;
	language->handler = "index.handler";
	language->file = "index.js";
	language->memory_floor_mib = 48;
	language->command = words_of(path, "/runtime/shim.js", NULL, NULL);
	add_node(&files, path);
	add_common(&files);
	plan = add_root(name, "", &files);
	plan->links = links;
	plan->shim = shim_of("node");
	plan->programs = words_of(scan->addon_node, NULL, NULL, NULL);
	plan->template = words_of(path, "/runtime/shim.js", "--template", NULL);
	language->root = plan;
	npm = find_npm(scan, place);
	if (npm)
		add_node_build(language, scan, npm);
}

/* What is in a folder, without the names that are left out. */
static void
add_folder_but(struct language_words *files, const char *folder, const char *const *left_out)
{
	OWN(dir) DIR *stream = opendir(folder);
	struct dirent *entry;

	while (stream && (entry = readdir(stream))) {
		/* python's config-3.11-… is for linking with it */
		bool is_left_out = strncmp(entry->d_name, "config-", 7) == 0;

		for (size_t i = 0; left_out[i] && !is_left_out; i++)
			is_left_out = strcmp(entry->d_name, left_out[i]) == 0;
		if (is_left_out)
			continue;
		OWN(mem) char *path = path_join(folder, entry->d_name);

		add_there(files, path);
	}
}

/* The zones once: the other folders have them again, with and without leap seconds. Node brings
 * its own. */
static void
add_zones(struct language_words *files)
{
	static const char *const left_out[] = {".", "..", "posix", "right", NULL};

	add_folder_but(files, "/usr/share/zoneinfo", left_out);
}

/* The standard library without what only its developers use. */
static void
add_python_library(struct language_words *files, const char *folder)
{
	static const char *const left_out[] = {".", "..", "test", "tests", "idlelib", "turtledemo",
		"ensurepip", "site-packages", "dist-packages", "sitecustomize.py",
		"EXTERNALLY-MANAGED", NULL};

	add_folder_but(files, folder, left_out);
}

static void
add_python_build(struct language *language, const struct language_scan *scan, const char *library,
	const char *dynload, struct str pip)
{
	static const char *const manifests[] = {"requirements.txt", NULL};
	OWN(mem) char *packages = str_dup(pip);
	static const char *const parts[] = {"pip", "setuptools", "pkg_resources", "wheel",
		"_distutils_hack", "distutils-precedence.pth", NULL};
	struct language_words files = {0};
	struct root_plan *plan;

	language_words_add(&files, language->path);
	add_python_library(&files, library);
	add_there(&files, dynload);
	for (size_t i = 0; parts[i]; i++) {
		OWN(mem) char *path = path_join(packages, parts[i]);

		add_there(&files, path);
	}
	add_tools(scan, &files, tools);
	add_common(&files);
	plan = add_root(language->name, "-build", &files);
	plan->shim = language->root->shim;
	plan->programs = words_of(scan->program_pack, NULL, NULL, NULL);
	language->build = new_build(
		plan, words_of(language->path, "-s", "/runtime/build.py", packages), manifests);
}

/* Three lines: version, folder of the standard library, folder of its compiled modules; and a
 * fourth with the folder that has pip, where there is one. */
static const char python_question[] =
	"import sys, os, importlib.util\n"
	"print(sys.version.split()[0])\n"
	"print(os.path.dirname(os.path.realpath(os.__file__)))\n"
	"print(next((p for p in sys.path if p.endswith('lib-dynload')), ''))\n"
	"import site\n"
	"sys.path += site.getsitepackages()\n"
	"spec = importlib.util.find_spec('pip')\n"
	"print(os.path.dirname(os.path.dirname(os.path.realpath(spec.origin))) if spec else '')\n";

static void
on_python(const char *path, const char *place, void *arg)
{
	const char *const argv[] = {path, "-I", "-S", "-c", python_question, NULL};
	struct language_scan *scan = arg;
	OWN(buf) struct buf answer = BUF_INIT;
	struct language_words files = {0};
	struct language *language;
	struct root_plan *plan;
	struct str rest, pip;
	unsigned minor;
	char name[32];

	(void)place;
	if (!language_host_ask(argv, &answer) || !answer.len ||
		sscanf(answer.at, "3.%u", &minor) != 1 || minor < PYTHON_OLDEST)
		return;
	rest = buf_str(&answer);
	OWN(mem) char *version = str_dup(str_cut(&rest, '\n'));
	OWN(mem) char *library = str_dup(str_cut(&rest, '\n'));
	OWN(mem) char *dynload = str_dup(str_cut(&rest, '\n'));
	pip = str_cut(&rest, '\n');
	snprintf(name, sizeof(name), "python3.%u", minor);
	language = add_language("python", name, version, path);
	if (!language)
		return;
	language->handler = "main.handler";
	language->file = "main.py";
	language->memory_floor_mib = 24;
	language->command = words_of(path, "-s", "-B", "/runtime/shim.py");
	language_words_add(&files, path);
	add_python_library(&files, library);
	add_there(&files, dynload);
	if (!scan->python.n)
		language_words_add_all(&scan->python, (const char *const *)files.at);
	add_zones(&files);
	add_common(&files);
	plan = add_root(name, "", &files);
	plan->shim = shim_of("python");
	plan->template = words_of(path, "-s", "-B", "/runtime/template.py");
	plan->programs = words_of(scan->addon_python, NULL, NULL, NULL);
	language->root = plan;
	if (pip.len)
		add_python_build(language, scan, library, dynload, pip);
}

/* The first Python that was found is python3 for scripts. */
static const char *const *
python_link(const struct language_scan *scan)
{
	const char *program = scan->python.n ? scan->python.at[0] : "/usr/bin/python3";
	OWN(mem) char *link = mem_printf("/usr/bin/python3=%s", program);
	bool is_itself = strcmp(program, "/usr/bin/python3") == 0;

	return words_of(
		"/etc/localtime=/usr/share/zoneinfo/UTC", is_itself ? NULL : link, NULL, NULL);
}

/* Programs that speak for themselves: one root serves both ways. */
static void
add_programs(const struct language_scan *scan)
{
	struct language_words files = {0};
	struct language *exec, *native;
	struct root_plan *plan;

	add_tools(scan, &files, tools);
	add_tools(scan, &files, native_tools);
	add_perl(&files);
	language_words_add_all(&files, (const char *const *)scan->python.at);
	add_zones(&files);
	add_common(&files);
	plan = add_root("programs", "", &files);
	plan->links = python_link(scan);
	plan->programs = words_of(scan->program_exec, scan->program_lambda, NULL, NULL);
	exec = add_language("exec", "exec", MAYFLY_VERSION, "");
	native = add_language("native", "native", MAYFLY_VERSION, "");
	exec->handler = "";
	exec->file = "handler.sh";
	exec->command = words_of("/runtime/mayfly-exec", NULL, NULL, NULL);
	exec->root = plan;
	exec->memory_floor_mib = 8;
	native->handler = "bootstrap";
	native->file = "bootstrap";
	native->command = words_of("/runtime/mayfly-lambda", NULL, NULL, NULL);
	native->root = plan;
	native->memory_floor_mib = 4;
}

static void
add_unpack(const struct language_scan *scan)
{
	struct language_words files = {0};
	struct root_plan *plan;

	add_library(&files, "libc.so.6");
	/* Names in archives are UTF-8; libarchive asks the locale. */
	add_there(&files, "/usr/lib/locale/C.utf8");
	plan = add_root("unpack", "", &files);
	plan->links = NULL;
	plan->programs = words_of(scan->program_unpack, NULL, NULL, NULL);
	unpack_root = plan;
}

/* ---- the scan ---- */

static int
find_own(const char *name, char **ret, struct err *err)
{
	*ret = path_join(path_libexec(), name);
	if (access(*ret, X_OK) == 0)
		return 0;
	return err_set(err, ERR_NOT_FOUND, "mayfly's own program %s is not there", *ret);
}

static int
find_own_all(struct language_scan *scan, struct err *err)
{
	OWN(mem) char *runtimes = path_join(path_share(), "runtimes");
	int rc = find_own("mayfly-pack", &scan->program_pack, err);

	if (rc == 0)
		rc = find_own("mayfly-exec", &scan->program_exec, err);
	if (rc == 0)
		rc = find_own("mayfly-lambda", &scan->program_lambda, err);
	if (rc == 0)
		rc = find_own("mayfly-unpack", &scan->program_unpack, err);
	if (rc == 0)
		rc = find_own("mayfly-node.node", &scan->addon_node, err);
	if (rc == 0)
		rc = find_own("mayfly_fork.so", &scan->addon_python, err);
	if (rc == 0 && access(runtimes, F_OK) < 0)
		rc = err_set(err, ERR_NOT_FOUND, "mayfly's folder %s is not there", runtimes);
	return rc;
}

/* Newest first in a family: "node22" before "node20", "python3.13" before "python3.9". */
static int
compare(const void *a, const void *b)
{
	const struct language *x = a, *y = b;
	int order = strcmp(x->family, y->family);

	return order ? order : strverscmp(y->version, x->version);
}

/* node and python come before exec and native: by the order of their additions. */
static void
sort_from(size_t first)
{
	if (n_languages > first)
		qsort(languages + first, n_languages - first, sizeof(*languages), compare);
}

int
language_scan(const char *const *folders, struct err *err)
{
	struct language_scan scan = {0};
	int rc = find_own_all(&scan, err);

	must(n_languages == 0);
	if (rc == 0) {
		language_host_folders(folders, &scan.folders);
		language_host_each(&scan.folders, "node", on_node, &scan);
		language_host_each(&scan.folders, "nodejs", on_node, &scan);
		language_host_each(&scan.folders, "python", on_python, &scan);
		sort_from(0);
		add_programs(&scan);
		add_unpack(&scan);
	}
	language_words_done(&scan.folders);
	language_words_done(&scan.python);
	free(scan.program_pack);
	free(scan.program_exec);
	free(scan.program_lambda);
	free(scan.program_unpack);
	free(scan.addon_node);
	free(scan.addon_python);
	return rc;
}

const struct language *
language_find(const char *name)
{
	for (size_t i = 0; i < n_languages; i++) {
		if (strcmp(languages[i].name, name) == 0)
			return &languages[i];
	}
	for (size_t i = 0; i < n_languages; i++) {
		if (strcmp(languages[i].family, name) == 0)
			return &languages[i];
	}
	return NULL;
}

const struct language *
language_each(size_t i)
{
	return i < n_languages ? &languages[i] : NULL;
}

const struct root_plan *
language_unpack_root(void)
{
	return unpack_root;
}

const struct root_plan *
language_roots(size_t *ret_n)
{
	*ret_n = n_roots;
	return roots;
}
