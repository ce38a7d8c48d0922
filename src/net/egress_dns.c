/* SPDX-License-Identifier: Apache-2.0 */
#include "net/egress_dns.h"

#define DNS_HEAD      12
#define DNS_LABEL_MAX 63
#define DNS_NAME_MAX  255
#define DNS_CLASS_IN  1
#define DNS_TYPE_OPT  41
#define DNS_OPT_SIZE  11                  /* an OPT record without options */
#define DNS_TO_NAME   (0xc000 | DNS_HEAD) /* a pointer to the name of the question */

#define DNS_FLAG_ANSWER    0x8000
#define DNS_FLAG_OPCODE    0x7800
#define DNS_FLAG_DESIRED   0x0100 /* recursion */
#define DNS_FLAG_AVAILABLE 0x0080

struct dns_reader {
	const uint8_t *at;
	size_t len;
	bool is_broken; /* more was asked for than there is */
};

static const uint8_t *
dns_take(struct dns_reader *reader, size_t n)
{
	const uint8_t *at = reader->at;

	if (reader->is_broken || reader->len < n) {
		reader->is_broken = true;
		return NULL;
	}
	reader->at += n;
	reader->len -= n;
	return at;
}

static uint16_t
dns_take_16(struct dns_reader *reader)
{
	const uint8_t *at = dns_take(reader, 2);

	return at ? (uint16_t)(at[0] << 8 | at[1]) : 0;
}

/* The labels of a name, with a dot behind each; what no host name can hold gives "". */
static void
dns_take_name(struct dns_reader *reader, char ret[static EGRESS_NAME_SIZE])
{
	char text[DNS_NAME_MAX + 1];
	struct err ignored = {0};
	size_t len = 0;
	bool is_odd = false;

	for (;;) {
		const uint8_t *size = dns_take(reader, 1), *label;

		if (!size || *size == 0)
			break;
		label = *size <= DNS_LABEL_MAX ? dns_take(reader, *size) : NULL;
		if (!label || len + *size + 1 >= DNS_NAME_MAX) {
			reader->is_broken = true;
			break;
		}
		is_odd |= memchr(label, '.', *size) != NULL;
		memcpy(text + len, label, *size);
		len += *size;
		text[len++] = '.';
	}
	if (reader->is_broken || is_odd || egress_name_parse(str_n(text, len), ret, &ignored) < 0)
		ret[0] = '\0';
}

/* The one record that may stand behind a question: OPT, which says what size the client takes. */
static void
dns_take_opt(struct dns_reader *reader, struct egress_dns_question *ret)
{
	const uint8_t *root = dns_take(reader, 1);
	uint16_t type = dns_take_16(reader), size = dns_take_16(reader);

	dns_take(reader, 4);
	dns_take(reader, dns_take_16(reader));
	if (reader->is_broken || *root != 0 || type != DNS_TYPE_OPT) {
		reader->is_broken = true;
		return;
	}
	ret->has_edns = true;
	if (size > ret->size_max)
		ret->size_max = size < EGRESS_DNS_SIZE_MAX ? size : EGRESS_DNS_SIZE_MAX;
}

static int
dns_take_question(struct dns_reader *reader, struct egress_dns_question *ret)
{
	const uint8_t *start = reader->at;
	uint16_t type, class;

	dns_take_name(reader, ret->name);
	type = dns_take_16(reader);
	class = dns_take_16(reader);
	if (reader->is_broken)
		return EGRESS_DNS_MALFORMED;
	ret->text_len = (size_t)(reader->at - start);
	must(ret->text_len <= sizeof(ret->text));
	memcpy(ret->text, start, ret->text_len);
	ret->type = type;
	return class == DNS_CLASS_IN ? EGRESS_DNS_OK : EGRESS_DNS_NOT_DONE;
}

int
egress_dns_parse(struct str message, struct egress_dns_question *ret)
{
	struct dns_reader reader = {(const uint8_t *)message.at, message.len, false};
	uint16_t n_questions, n_answers, n_servers, n_more;
	int code;

	*ret = (struct egress_dns_question){.size_max = EGRESS_DNS_SIZE_OLD};
	ret->id = dns_take_16(&reader);
	ret->flags = dns_take_16(&reader);
	n_questions = dns_take_16(&reader);
	n_answers = dns_take_16(&reader);
	n_servers = dns_take_16(&reader);
	n_more = dns_take_16(&reader);
	/* An answer to an answer could go to and fro for ever. */
	if (reader.is_broken || (ret->flags & DNS_FLAG_ANSWER))
		return -1;
	if (ret->flags & DNS_FLAG_OPCODE)
		return EGRESS_DNS_NOT_DONE;
	if (n_questions != 1 || n_answers || n_servers || n_more > 1)
		return EGRESS_DNS_MALFORMED;
	code = dns_take_question(&reader, ret);
	if (code == EGRESS_DNS_OK && n_more)
		dns_take_opt(&reader, ret);
	return reader.is_broken || (code == EGRESS_DNS_OK && reader.len) ? EGRESS_DNS_MALFORMED
									 : code;
}

/* ---- answers ---- */

static void
dns_add_16(struct buf *out, uint16_t number)
{
	buf_add_char(out, (char)(number >> 8));
	buf_add_char(out, (char)number);
}

static void
dns_add_address(
	struct buf *out, const struct egress_address *address, uint16_t type, uint32_t ttl_s)
{
	uint16_t size = type == EGRESS_DNS_TYPE_A ? 4 : 16;

	dns_add_16(out, DNS_TO_NAME);
	dns_add_16(out, type);
	dns_add_16(out, DNS_CLASS_IN);
	dns_add_16(out, (uint16_t)(ttl_s >> 16));
	dns_add_16(out, (uint16_t)ttl_s);
	dns_add_16(out, size);
	buf_add(out, address->at + sizeof(address->at) - size, size);
}

static uint16_t
dns_add_addresses(const struct egress_dns_question *question,
	const struct egress_address *addresses, size_t n, uint32_t ttl_s, size_t end,
	struct buf *out)
{
	size_t size = question->type == EGRESS_DNS_TYPE_A ? 16 : 28;
	uint16_t count = 0;

	if (question->type != EGRESS_DNS_TYPE_A && question->type != EGRESS_DNS_TYPE_AAAA)
		return 0;
	for (size_t i = 0; i < n && out->len + size <= end; i++) {
		if (egress_address_is_v4(&addresses[i]) != (question->type == EGRESS_DNS_TYPE_A))
			continue;
		dns_add_address(out, &addresses[i], question->type, ttl_s);
		count++;
	}
	return count;
}

void
egress_dns_write(const struct egress_dns_question *question, enum egress_dns_code code,
	const struct egress_address *addresses, size_t n, uint32_t ttl_s, size_t size_max,
	struct buf *out)
{
	size_t start = out->len;
	size_t end = start + size_max - (question->has_edns ? DNS_OPT_SIZE : 0);
	uint16_t count;

	dns_add_16(out, question->id);
	dns_add_16(
		out, (uint16_t)(DNS_FLAG_ANSWER | DNS_FLAG_AVAILABLE |
				(question->flags & (DNS_FLAG_OPCODE | DNS_FLAG_DESIRED)) | code));
	dns_add_16(out, question->text_len ? 1 : 0);
	dns_add_16(out, 0);
	dns_add_16(out, 0);
	dns_add_16(out, question->has_edns);
	buf_add(out, question->text, question->text_len);
	count = code == EGRESS_DNS_OK ? dns_add_addresses(question, addresses, n, ttl_s, end, out)
				      : 0;
	out->at[start + 7] = (char)count;
	if (!question->has_edns)
		return;
	buf_add_char(out, 0);
	dns_add_16(out, DNS_TYPE_OPT);
	dns_add_16(out, EGRESS_DNS_SIZE_MAX);
	dns_add_16(out, 0);
	dns_add_16(out, 0);
	dns_add_16(out, 0);
}
