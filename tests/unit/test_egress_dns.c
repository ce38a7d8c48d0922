/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "net/egress_dns.h"

/* A question as glibc asks it: id 0x1234, recursion desired, one question. */
#define HEAD "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
#define NAME                                                                                       \
	"\x03"                                                                                     \
	"aPi\x07"                                                                                  \
	"example\x03"                                                                              \
	"com\x00"
#define A_IN    "\x00\x01\x00\x01"
#define AAAA_IN "\x00\x1c\x00\x01"

static int
parse(struct str message, struct egress_dns_question *ret)
{
	OWN(mem) char *exact = mem_new(message.len + 1);

	/* On a heap of its own: a read behind it is found by the sanitizer. */
	memcpy(exact, message.at, message.len);
	return egress_dns_parse(str_n(exact, message.len), ret);
}

static void
a_question_is_read(void **state)
{
	struct egress_dns_question question;

	assert_int_equal(parse(STR(HEAD NAME A_IN), &question), EGRESS_DNS_OK);
	assert_int_equal(question.id, 0x1234);
	assert_int_equal(question.type, EGRESS_DNS_TYPE_A);
	assert_string_equal(question.name, "api.example.com");
	assert_int_equal(question.size_max, EGRESS_DNS_SIZE_OLD);
	assert_false(question.has_edns);
}

static void
the_size_that_a_client_takes_is_bounded(void **state)
{
	static const char head[] = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01";
	const struct {
		const char size[3];
		unsigned want;
	} rows[] = {{"\x10\x00", EGRESS_DNS_SIZE_MAX}, {"\x02\x80", 640},
		{"\x00\x0c", EGRESS_DNS_SIZE_OLD}};

	for (size_t i = 0; i < 3; i++) {
		OWN(buf) struct buf message = BUF_INIT;
		struct egress_dns_question question;

		buf_add(&message, head, 12);
		buf_add_str(&message, STR(NAME A_IN "\x00\x00\x29"));
		buf_add(&message, rows[i].size, 2);
		buf_add_str(&message, STR("\x00\x00\x00\x00\x00\x00"));
		assert_int_equal(parse(buf_str(&message), &question), EGRESS_DNS_OK);
		assert_true(question.has_edns);
		assert_int_equal(question.size_max, rows[i].want);
	}
}

static void
what_is_no_question_is_told_or_dropped(void **state)
{
	const struct {
		struct str message;
		int code;
	} rows[] = {
		{STR(""), -1},
		{STR("\x12\x34\x01\x00"), -1},
		{STR("\x12\x34\x81\x00\x00\x01\x00\x00\x00\x00\x00\x00" NAME A_IN), -1},
		{STR("\x12\x34\x29\x00\x00\x01\x00\x00\x00\x00\x00\x00" NAME A_IN),
			EGRESS_DNS_NOT_DONE},
		{STR(HEAD), EGRESS_DNS_MALFORMED},
		{STR(HEAD NAME), EGRESS_DNS_MALFORMED},
		{STR(HEAD NAME "\x00\x01\x00"), EGRESS_DNS_MALFORMED},
		{STR(HEAD NAME A_IN "x"), EGRESS_DNS_MALFORMED},
		{STR(HEAD NAME "\x00\x01\x00\x03"), EGRESS_DNS_NOT_DONE},
		{STR(HEAD "\xc0\x0c" A_IN), EGRESS_DNS_MALFORMED},
		{STR(HEAD "\x40"
			  "a" A_IN),
			EGRESS_DNS_MALFORMED},
		{STR(HEAD "\x09"
			  "abc"),
			EGRESS_DNS_MALFORMED},
		{STR("\x12\x34\x01\x00\x00\x02\x00\x00\x00\x00\x00\x00" NAME A_IN NAME A_IN),
			EGRESS_DNS_MALFORMED},
		{STR("\x12\x34\x01\x00\x00\x01\x00\x01\x00\x00\x00\x00" NAME A_IN),
			EGRESS_DNS_MALFORMED},
		{STR("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01" NAME A_IN),
			EGRESS_DNS_MALFORMED},
		{STR("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01" NAME A_IN
		     "\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00"),
			EGRESS_DNS_MALFORMED},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct egress_dns_question question;
		int code = parse(rows[i].message, &question);

		if (code != rows[i].code)
			fail_msg("row %zu gives %d", i, code);
	}
}

static void
a_name_that_no_host_has_is_empty(void **state)
{
	const struct str messages[] = {STR(HEAD "\x00" A_IN),
		STR(HEAD "\x03"
			 "a.b\x00" A_IN),
		STR(HEAD "\x03"
			 "a b\x00" A_IN),
		STR(HEAD "\x02"
			 "\xc3\xbc\x00" A_IN),
		STR(HEAD "\x01"
			 "\x00\x00" A_IN),
		STR(HEAD "\x03"
			 "169\x03"
			 "254\x00" A_IN),
		STR(HEAD "\x0a"
			 "2130706433\x00" A_IN)};

	for (size_t i = 0; i < sizeof(messages) / sizeof(*messages); i++) {
		struct egress_dns_question question;

		assert_int_equal(parse(messages[i], &question), EGRESS_DNS_OK);
		assert_string_equal(question.name, "");
	}
}

static void
a_name_has_255_bytes_at_most(void **state)
{
	OWN(buf) struct buf message = BUF_INIT;
	struct egress_dns_question question;

	buf_add_str(&message, STR(HEAD));
	for (int i = 0; i < 127; i++)
		buf_add_str(&message, STR("\x01"
					  "a"));
	buf_add_str(&message, STR("\x00" A_IN));
	assert_int_equal(parse(buf_str(&message), &question), EGRESS_DNS_OK);
	assert_int_equal(strlen(question.name), 253);
	buf_cut(&message, message.len - 5);
	buf_add_str(&message, STR("\x01"
				  "a\x00" A_IN));
	assert_int_equal(parse(buf_str(&message), &question), EGRESS_DNS_MALFORMED);
}

static struct egress_address
v4(uint8_t last)
{
	return (struct egress_address){{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, last}};
}

static void
an_answer_holds_addresses_of_the_kind_asked_for(void **state)
{
	const struct egress_address both[] = {v4(7), {{0x20, 1, 0xd, 0xb8, [15] = 1}}};
	OWN(buf) struct buf out = BUF_INIT;
	struct egress_dns_question question;

	assert_int_equal(parse(STR(HEAD NAME A_IN), &question), EGRESS_DNS_OK);
	egress_dns_write(&question, EGRESS_DNS_OK, both, 2, 30, question.size_max, &out);
	assert_int_equal(out.len, 12 + 17 + 4 + 16);
	assert_memory_equal(out.at,
		"\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00" NAME A_IN
		"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x1e\x00\x04\xc0\x00\x02\x07",
		out.len);
	buf_clear(&out);
	assert_int_equal(parse(STR(HEAD NAME AAAA_IN), &question), EGRESS_DNS_OK);
	egress_dns_write(&question, EGRESS_DNS_OK, both, 2, 30, question.size_max, &out);
	assert_int_equal(out.len, 12 + 17 + 4 + 28);
	assert_int_equal(out.at[out.len - 1], 1);
}

static void
an_answer_never_has_more_bytes_than_the_client_takes(void **state)
{
	struct egress_address many[200];
	OWN(buf) struct buf out = BUF_INIT;
	struct egress_dns_question question;

	for (size_t i = 0; i < 200; i++)
		many[i] = v4((uint8_t)i);
	assert_int_equal(parse(STR(HEAD NAME A_IN), &question), EGRESS_DNS_OK);
	for (size_t size = 64; size <= EGRESS_DNS_SIZE_MAX; size++) {
		buf_clear(&out);
		egress_dns_write(&question, EGRESS_DNS_OK, many, 200, 30, size, &out);
		assert_true(out.len <= size && out.len + 16 > size);
		assert_int_equal((uint8_t)out.at[7] * 16 + 33, out.len);
	}
}

static void
other_types_and_faults_have_empty_answers(void **state)
{
	const struct egress_address one = v4(7);
	OWN(buf) struct buf out = BUF_INIT;
	struct egress_dns_question question;

	assert_int_equal(parse(STR(HEAD NAME "\x00\x0f\x00\x01"), &question), EGRESS_DNS_OK);
	egress_dns_write(&question, EGRESS_DNS_OK, &one, 1, 30, 512, &out);
	assert_int_equal(out.at[7], 0);
	buf_clear(&out);
	assert_int_equal(parse(STR(HEAD NAME A_IN), &question), EGRESS_DNS_OK);
	egress_dns_write(&question, EGRESS_DNS_NO_NAME, &one, 1, 30, 512, &out);
	assert_int_equal(out.at[3] & 15, EGRESS_DNS_NO_NAME);
	assert_int_equal(out.at[7], 0);
}

UNIT_TESTS(it(a_question_is_read), it(the_size_that_a_client_takes_is_bounded),
	it(what_is_no_question_is_told_or_dropped), it(a_name_that_no_host_has_is_empty),
	it(a_name_has_255_bytes_at_most), it(an_answer_holds_addresses_of_the_kind_asked_for),
	it(an_answer_never_has_more_bytes_than_the_client_takes),
	it(other_types_and_faults_have_empty_answers))
