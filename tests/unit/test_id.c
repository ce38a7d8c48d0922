/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <sys/wait.h>

#include "base/clock.h"
#include "base/id.h"

static void
random_bytes_of_every_length_are_filled(void **state)
{
	uint8_t bytes[3000] = {0};
	size_t n_zero = 0;

	for (size_t n = 0; n < 600; n += 7)
		id_random(bytes, n);
	id_random(bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		n_zero += bytes[i] == 0;
	assert_in_range(n_zero, 0, 60);
}

/* More than the mebibyte after which the pool is renewed. */
static void
no_sixteen_bytes_come_twice(void **state)
{
	static uint8_t bytes[3 << 20];
	uint64_t *words = (uint64_t *)bytes;
	uint64_t seen[2];

	id_random(bytes, sizeof(bytes));
	memcpy(seen, words, sizeof(seen));
	for (size_t i = 2; i < sizeof(bytes) / 8; i += 2)
		assert_false(words[i] == seen[0] && words[i + 1] == seen[1]);
}

static void
a_forked_child_draws_other_bytes_than_its_parent(void **state)
{
	uint8_t mine[16], theirs[2][16];
	int pipes[2];

	id_random(mine, sizeof(mine));
	assert_int_equal(pipe(pipes), 0);
	for (int i = 0; i < 2; i++) {
		pid_t child = fork();

		if (child == 0) {
			id_random(mine, sizeof(mine));
			_exit(write(pipes[1], mine, sizeof(mine)) == sizeof(mine) ? 0 : 1);
		}
		assert_int_equal(waitpid(child, NULL, 0), child);
		assert_int_equal(read(pipes[0], theirs[i], 16), 16);
	}
	id_random(mine, sizeof(mine));
	assert_memory_not_equal(theirs[0], theirs[1], 16);
	assert_memory_not_equal(mine, theirs[0], 16);
	assert_memory_not_equal(mine, theirs[1], 16);
	close(pipes[0]);
	close(pipes[1]);
}

static void
a_ulid_is_one_and_begins_with_its_time(void **state)
{
	char earlier[ID_ULID_SIZE], later[ID_ULID_SIZE];
	uint64_t started_ms = clock_unix_ms();

	id_ulid(earlier);
	assert_true(id_is_ulid(str_of(earlier)));
	while (clock_unix_ms() <= started_ms + 1)
		usleep(500);
	id_ulid(later);
	assert_true(strcmp(earlier, later) < 0);
	assert_memory_equal(earlier, later, 6);
}

static void
ulids_of_one_millisecond_sort_as_they_were_made(void **state)
{
	char before[ID_ULID_SIZE], after[ID_ULID_SIZE];

	id_ulid(before);
	for (int i = 0; i < 10000; i++) {
		id_ulid(after);
		assert_true(strcmp(before, after) < 0);
		memcpy(before, after, sizeof(before));
	}
}

static void
what_is_no_ulid_is_refused(void **state)
{
	assert_true(id_is_ulid(STR("7ZZZZZZZZZZZZZZZZZZZZZZZZZ")));
	assert_false(id_is_ulid(STR("8ZZZZZZZZZZZZZZZZZZZZZZZZZ")));
	assert_false(id_is_ulid(STR("01ARZ3NDEKTSV4RRFFQ69G5FA")));
	assert_false(id_is_ulid(STR("01ARZ3NDEKTSV4RRFFQ69G5FAVX")));
	assert_false(id_is_ulid(STR("01ARZ3NDEKTSV4RRFFQ69G5FAU")));
	assert_false(id_is_ulid(STR("01arz3ndektsv4rrffq69g5fav")));
	assert_false(id_is_ulid(STR("")));
	assert_false(id_is_ulid(str_n("01ARZ3NDEKTSV4RRFFQ69G5FA\0", 26)));
}

/* FIPS 180-2, appendix B. */
static void
digests_are_those_of_the_standard(void **state)
{
	static const char abc[] =
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
	struct id_sha256 *sum = id_sha256_new();
	char digest[ID_SHA256_SIZE];

	id_sha256(STR("abc"), digest);
	assert_string_equal(digest, abc);
	id_sha256_add(sum, "a", 1);
	id_sha256_add(sum, "", 0);
	id_sha256_add(sum, "bc", 2);
	id_sha256_end(sum, digest);
	assert_string_equal(digest, abc);
	id_sha256(STR_NONE, digest);
	assert_string_equal(
		digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	assert_true(id_is_sha256(str_of(digest)));
	id_sha256_free(id_sha256_new());
	id_sha256_free(NULL);
}

static void
what_is_no_digest_is_refused(void **state)
{
	static const char upper[] =
		"BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD";

	assert_false(id_is_sha256(str_of(upper)));
	assert_false(id_is_sha256(STR("ba7816bf")));
	assert_false(id_is_sha256(
		STR("../7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")));
}

static void
names_follow_the_rule_for_labels(void **state)
{
	static const char *const good[] = {"a", "9", "hello", "a-b-c", "x1",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
	static const char *const bad[] = {"", "-a", "a-", "-", "A", "a_b", "a.b", "a/b", "\xc3\xa9",
		"a b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(id_check_name(str_of(good[i]), "name", NULL), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = {0};

		assert_int_equal(id_check_name(str_of(bad[i]), "name", &err), ERR_INVALID);
		assert_string_equal(err.field, "name");
	}
	assert_int_equal(id_check_name(str_n("a\0b", 3), "name", NULL), ERR_INVALID);
}

static void
hex_is_written_in_lower_case(void **state)
{
	static const uint8_t bytes[] = {0x00, 0x0f, 0xa5, 0xff};
	char text[9];

	id_hex(bytes, sizeof(bytes), text);
	assert_string_equal(text, "000fa5ff");
}

UNIT_TESTS(it(random_bytes_of_every_length_are_filled), it(no_sixteen_bytes_come_twice),
	it(a_forked_child_draws_other_bytes_than_its_parent),
	it(a_ulid_is_one_and_begins_with_its_time),
	it(ulids_of_one_millisecond_sort_as_they_were_made), it(what_is_no_ulid_is_refused),
	it(digests_are_those_of_the_standard), it(what_is_no_digest_is_refused),
	it(names_follow_the_rule_for_labels), it(hex_is_written_in_lower_case))
