/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egress_dns - questions of a function to its name server, and the answers (RFC 1035, RFC 6891).
 *
 * One question per message, as every resolver asks; a name in a question is never compressed. An
 * answer repeats the question byte for byte and holds addresses of one kind. What functions send
 * is hostile: egress_dns_parse() looks at nothing behind the bytes that it was given.
 * Knows no socket and no rule. Pure; any thread. tests/fuzz/fuzz_dns.c.
 */
#ifndef MAYFLY_NET_EGRESS_DNS_H
#define MAYFLY_NET_EGRESS_DNS_H

#include "net/egress_policy.h"

enum {
	EGRESS_DNS_SIZE_MAX = 1232, /* of a message; more would be cut into packets on the way */
	EGRESS_DNS_SIZE_OLD = 512,  /* what a client takes that says nothing */
	EGRESS_DNS_TYPE_A = 1,
	EGRESS_DNS_TYPE_AAAA = 28,
};

enum egress_dns_code {
	EGRESS_DNS_OK = 0,
	EGRESS_DNS_MALFORMED = 1,
	EGRESS_DNS_FAILED = 2,
	EGRESS_DNS_NO_NAME = 3,
	EGRESS_DNS_NOT_DONE = 4,
};

struct egress_dns_question {
	uint16_t id, flags;
	uint16_t type; /* 0 while it could not be read */
	bool has_edns;
	uint16_t size_max;                      /* of an answer over UDP */
	char name[EGRESS_NAME_SIZE];            /* "" for one that no host can have */
	uint8_t text[EGRESS_NAME_SIZE + 2 + 4]; /* name, type and class as they were asked */
	size_t text_len;
};

/* EGRESS_DNS_OK, or what is to be answered at once; -1 for what no answer can be given to. Types
 * other than addresses are in order: their answer is empty. */
int egress_dns_parse(struct str message, struct egress_dns_question *ret);

/* Appends an answer of at most `size_max` bytes: as many of the addresses as fit, of the kind that
 * was asked for. */
void egress_dns_write(const struct egress_dns_question *question, enum egress_dns_code code,
	const struct egress_address *addresses, size_t n, uint32_t ttl_s, size_t size_max,
	struct buf *out);

#endif
