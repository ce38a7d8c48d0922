/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "sandbox/root.h"

/* A host of the test: a folder with files, a data folder, and plans of both. */
struct host {
	char *top;   /* owned */
	char *files; /* owned: the folder that plans name */
	char *data;  /* owned */
};

static struct host
host_new(void)
{
	struct host host = {.top = unit_folder()};

	host.files = path_join(host.top, "host");
	host.data = path_join(host.top, "data");
	assert_int_equal(path_make(host.files, 0755, NULL), 0);
	assert_int_equal(chmod(host.top, 0755), 0);
	return host;
}

static void
own_host(struct host *host)
{
	path_remove(host->top, NULL);
	free(host->top);
	free(host->files);
	free(host->data);
}

static char *
put(const struct host *host, const char *name, const char *text, mode_t mode)
{
	char *path = path_join(host->files, name);

	assert_int_equal(path_write(path, str_of(text), 0644, NULL), 0);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

static struct root
prepare(const struct host *host, const char *name, const char *const *files)
{
	struct root_plan plan = {.files = files};
	struct err err = {0};
	struct root root;

	snprintf(plan.name, sizeof(plan.name), "%s", name);
	if (root_prepare(host->data, &plan, 1, &root, &err) < 0)
		fail_msg("%s", err.text);
	return root;
}

/* lstat of a host path, as it stands in the root. */
static struct stat
look(const struct root *root, const char *path)
{
	OWN(mem) char *inside = mem_printf("%s%s", root->path, path);
	struct stat st;

	if (lstat(inside, &st) < 0)
		fail_msg("%s is not in the root", path);
	return st;
}

static bool
has(const struct root *root, const char *path)
{
	OWN(mem) char *inside = mem_printf("%s%s", root->path, path);

	return access(inside, F_OK) == 0;
}

static void
a_root_has_the_files_and_the_mount_points(void **state)
{
	OWN(host) struct host host = host_new();
	OWN(mem) char *file = put(&host, "file", "x", 0644);
	struct root root = prepare(&host, "one", (const char *const[]){file, NULL});

	assert_string_equal(root.name, "one");
	assert_int_equal(look(&root, file).st_size, 1);
	for (const char *const *at = (const char *const[]){"/code", "/deps", "/tmp", "/proc",
		     "/dev", "/source", "/build", "/out", "/runtime", NULL};
		*at; at++)
		assert_true(S_ISDIR(look(&root, *at).st_mode));
	assert_true(has(&root, "/etc/passwd"));
}

static void
modes_are_for_reading_and_give_no_rights(void **state)
{
	OWN(host) struct host host = host_new();
	OWN(mem) char *plain = put(&host, "plain", "x", 0600);
	OWN(mem) char *program = put(&host, "program", "x", 06777);
	struct root root = prepare(&host, "one", (const char *const[]){plain, program, NULL});

	assert_int_equal(look(&root, plain).st_mode & 07777, 0444);
	assert_int_equal(look(&root, program).st_mode & 07777, 0555);
	assert_int_equal(look(&root, host.files).st_mode & 07777, 0755);
}

static void
the_files_of_the_host_stay_as_they_are(void **state)
{
	OWN(host) struct host host = host_new();
	OWN(mem) char *file = put(&host, "file", "x", 0664);
	struct stat st;

	prepare(&host, "one", (const char *const[]){file, NULL});
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0664);
}

static void
the_time_of_a_copy_is_that_of_its_file(void **state)
{
	OWN(host) struct host host = host_new();
	OWN(mem) char *file = put(&host, "file", "x", 0600);
	const struct timespec times[2] = {{1000, 0}, {2000, 0}};
	struct root root;

	assert_int_equal(utimensat(AT_FDCWD, file, times, 0), 0);
	root = prepare(&host, "one", (const char *const[]){file, NULL});
	assert_int_equal(look(&root, file).st_mtim.tv_sec, 2000);
}

static void
links_come_with_what_they_point_to(void **state)
{
	OWN(host) struct host host = host_new();
	OWN(mem) char *file = put(&host, "file", "x", 0644);
	OWN(mem) char *link = path_join(host.files, "link");
	OWN(mem) char *dangling = path_join(host.files, "dangling");
	struct root root;

	assert_int_equal(symlink("file", link), 0);
	assert_int_equal(symlink("away", dangling), 0);
	root = prepare(&host, "one", (const char *const[]){link, NULL});
	assert_true(S_ISLNK(look(&root, link).st_mode));
	assert_int_equal(look(&root, file).st_size, 1);
	root = prepare(&host, "two", (const char *const[]){host.files, NULL});
	assert_true(S_ISLNK(look(&root, link).st_mode));
	assert_false(has(&root, dangling));
}

static void
an_unchanged_host_keeps_its_root_and_a_changed_one_gets_another(void **state)
{
	OWN(host) struct host host = host_new();
	OWN(mem) char *file = put(&host, "file", "x", 0644);
	const char *const files[] = {file, NULL};
	struct root first = prepare(&host, "one", files);
	ino_t inode = look(&first, "/code").st_ino;
	struct root same = prepare(&host, "one", files), other;

	assert_string_equal(first.path, same.path);
	assert_int_equal(look(&same, "/code").st_ino, inode);
	free(put(&host, "file", "other", 0644));
	other = prepare(&host, "one", files);
	assert_string_not_equal(first.path, other.path);
	assert_int_equal(look(&other, file).st_size, 5);
	assert_int_equal(access(first.path, F_OK), -1);
}

static void
a_missing_file_is_named(void **state)
{
	OWN(host) struct host host = host_new();
	OWN(mem) char *away = path_join(host.files, "away");
	const char *const files[] = {away, NULL};
	struct root_plan plan = {.name = "one", .files = files};
	struct err err = {0};
	struct root root;

	assert_int_equal(root_prepare(host.data, &plan, 1, &root, &err), ERR_NOT_FOUND);
	assert_non_null(strstr(err.text, away));
	assert_non_null(strstr(err.text, "root one"));
}

static void
what_a_crash_left_half_made_is_removed(void **state)
{
	OWN(host) struct host host = host_new();
	OWN(mem) char *file = put(&host, "file", "x", 0644);
	OWN(mem) char *half = path_join(host.data, "roots/.new-0/code");
	OWN(mem) char *old = path_join(host.data, "roots/gone-0123456789abcdef/code");

	assert_int_equal(path_make(half, 0755, NULL), 0);
	assert_int_equal(path_make(old, 0755, NULL), 0);
	prepare(&host, "one", (const char *const[]){file, NULL});
	assert_int_equal(access(half, F_OK), -1);
	assert_int_equal(access(old, F_OK), -1);
}

static void
a_program_brings_its_libraries_and_runs_in_the_root(void **state)
{
	OWN(host) struct host host = host_new();
	const char *const files[] = {"/bin/true", NULL};
	struct root root = prepare(&host, "one", files);
	int status;
	pid_t pid;

	assert_true(has(&root, "/bin/true"));
	if (geteuid() != 0)
		return;
	pid = fork();
	if (pid == 0) {
		if (chroot(root.path) < 0 || chdir("/") < 0)
			_exit(100);
		execl("/bin/true", "true", NULL);
		_exit(101);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
shim_and_programs_stand_in_runtime(void **state)
{
	OWN(host) struct host host = host_new();
	OWN(mem) char *shim = path_join(host.files, "shim");
	OWN(mem) char *program = put(&host, "mayfly-pack", "x", 0755);
	const char *const programs[] = {program, NULL};
	struct root_plan plan = {.name = "one", .shim = shim, .programs = programs};
	struct err err = {0};
	struct root root;

	assert_int_equal(path_make(shim, 0755, NULL), 0);
	free(put(&host, "shim/shim.js", "x", 0644));
	assert_int_equal(root_prepare(host.data, &plan, 1, &root, &err), 0);
	assert_true(has(&root, "/runtime/shim.js"));
	assert_true(has(&root, "/runtime/mayfly-pack"));
}

UNIT_TESTS(it(a_root_has_the_files_and_the_mount_points),
	it(modes_are_for_reading_and_give_no_rights), it(the_files_of_the_host_stay_as_they_are),
	it(the_time_of_a_copy_is_that_of_its_file), it(links_come_with_what_they_point_to),
	it(an_unchanged_host_keeps_its_root_and_a_changed_one_gets_another),
	it(a_missing_file_is_named), it(what_a_crash_left_half_made_is_removed),
	it(a_program_brings_its_libraries_and_runs_in_the_root),
	it(shim_and_programs_stand_in_runtime))
