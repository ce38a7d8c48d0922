/* SPDX-License-Identifier: Apache-2.0 */
#include "base/id.h"

#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "base/chacha.h"
#include "base/clock.h"

#define POOL_BLOCKS      8
#define POOL_RENEW_BYTES (1u << 20)
#define ULID_CHARS       26

struct pool {
	uint8_t key[CHACHA_KEY_BYTES];
	uint8_t bytes[POOL_BLOCKS * CHACHA_BLOCK_BYTES];
	size_t left;         /* unused bytes, at the end of `bytes` */
	size_t given;        /* since the last renewal */
	uint64_t generation; /* that of the process when the key was drawn */
};

/* Stands on a page that the kernel zeroes in the child of every fork. A pid would not do: in a pid
 * namespace of its own the child may have the same one. */
static uint64_t *id_generation;
static pthread_once_t id_generation_once = PTHREAD_ONCE_INIT;
static _Thread_local struct pool pool;

static void
id_kernel_random(void *bytes, size_t n)
{
	ssize_t got;

	do {
		got = getrandom(bytes, n, 0);
	} while (got < 0 && errno == EINTR);
	must(got == (ssize_t)n); /* whole for up to 256 bytes, random(7) */
}

static void
id_generation_map(void)
{
	id_generation =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(id_generation != MAP_FAILED);
	must(madvise(id_generation, 4096, MADV_WIPEONFORK) == 0);
}

/* 0 only until the first caller after a start or a fork has drawn a number. */
static uint64_t
id_current_generation(void)
{
	uint64_t now, none = 0;

	pthread_once(&id_generation_once, id_generation_map);
	now = __atomic_load_n(id_generation, __ATOMIC_ACQUIRE);
	if (now)
		return now;
	id_kernel_random(&now, sizeof(now));
	now |= 1;
	if (__atomic_compare_exchange_n(
		    id_generation, &none, now, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return now;
	return none;
}

/* The first bytes of each filling become the next key, so that a pool seen later tells nothing of
 * what it gave before. */
static void
id_pool_fill(void)
{
	static const uint8_t nonce[CHACHA_NONCE_BYTES];

	for (uint32_t i = 0; i < POOL_BLOCKS; i++)
		chacha_block(pool.key, i, nonce, pool.bytes + i * CHACHA_BLOCK_BYTES);
	memcpy(pool.key, pool.bytes, CHACHA_KEY_BYTES);
	explicit_bzero(pool.bytes, CHACHA_KEY_BYTES);
	pool.left = sizeof(pool.bytes) - CHACHA_KEY_BYTES;
}

static void
id_pool_renew(uint64_t generation)
{
	id_kernel_random(pool.key, sizeof(pool.key));
	pool.generation = generation;
	pool.given = 0;
	pool.left = 0;
}

void
id_random(void *bytes, size_t n)
{
	uint64_t generation = id_current_generation();
	uint8_t *to = bytes;

	while (n) {
		size_t part;
		uint8_t *from;

		if (pool.generation != generation || pool.given >= POOL_RENEW_BYTES)
			id_pool_renew(generation);
		if (pool.left == 0)
			id_pool_fill();
		part = n < pool.left ? n : pool.left;
		from = pool.bytes + sizeof(pool.bytes) - pool.left;
		memcpy(to, from, part);
		explicit_bzero(from, part);
		pool.left -= part;
		pool.given += part;
		to += part;
		n -= part;
	}
}

static const char crockford[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/* Of one millisecond, or while the clock stands back: a random step behind the last one, so that
 * those of a thread sort as they were made. 80 random bits do not run out of room by that. */
void
id_ulid(char ret[static ID_ULID_SIZE])
{
	static _Thread_local unsigned __int128 last;
	unsigned __int128 number = clock_unix_ms() & 0xffffffffffff;
	uint8_t random[10];

	id_random(random, sizeof(random));
	for (size_t i = 0; i < sizeof(random); i++)
		number = number << 8 | random[i];
	if (number >> 80 <= last >> 80)
		number = last + 1 + (random[0] | random[1] << 8 | random[2] << 16);
	last = number;
	for (int i = ULID_CHARS - 1; i >= 0; i--) {
		ret[i] = crockford[number & 31];
		number >>= 5;
	}
	ret[ULID_CHARS] = '\0';
}

bool
id_is_ulid(struct str text)
{
	/* 26 characters hold 130 bits, a ULID has 128: the first one is at most 7. */
	if (text.len != ULID_CHARS || text.at[0] > '7')
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (!memchr(crockford, text.at[i], sizeof(crockford) - 1))
			return false;
	return true;
}

void
id_hex(const uint8_t *bytes, size_t n, char *ret)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		*ret++ = digits[bytes[i] >> 4];
		*ret++ = digits[bytes[i] & 15];
	}
	*ret = '\0';
}

bool
id_is_sha256(struct str text)
{
	if (text.len != ID_SHA256_SIZE - 1)
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (!memchr("0123456789abcdef", text.at[i], 16))
			return false;
	return true;
}

struct id_sha256 {
	EVP_MD_CTX *context; /* owned */
};

struct id_sha256 *
id_sha256_new(void)
{
	struct id_sha256 *sum = mem_new(sizeof(*sum));

	sum->context = EVP_MD_CTX_new();
	must(sum->context);
	must(EVP_DigestInit_ex(sum->context, EVP_sha256(), NULL) == 1);
	return sum;
}

void
id_sha256_add(struct id_sha256 *sum, const void *bytes, size_t n)
{
	must(EVP_DigestUpdate(sum->context, bytes, n) == 1);
}

void
id_sha256_end(struct id_sha256 *sum, char ret[static ID_SHA256_SIZE])
{
	uint8_t digest[32];

	must(EVP_DigestFinal_ex(sum->context, digest, NULL) == 1);
	id_hex(digest, sizeof(digest), ret);
	id_sha256_free(sum);
}

void
id_sha256_free(struct id_sha256 *sum)
{
	if (!sum)
		return;
	EVP_MD_CTX_free(sum->context);
	free(sum);
}

void
id_sha256(struct str bytes, char ret[static ID_SHA256_SIZE])
{
	struct id_sha256 *sum = id_sha256_new();

	id_sha256_add(sum, bytes.at, bytes.len);
	id_sha256_end(sum, ret);
}

static bool
id_is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

int
id_check_name(struct str name, const char *field, struct err *err)
{
	if (name.len == 0 || name.len > 63)
		return err_field(err, ERR_INVALID, field, "%s must have 1 to 63 characters", field);
	for (size_t i = 0; i < name.len; i++)
		if (!id_is_name_char(name.at[i]))
			return err_field(err, ERR_INVALID, field,
				"%s may have lower-case letters, digits and '-' only", field);
	if (name.at[0] == '-' || name.at[name.len - 1] == '-')
		return err_field(
			err, ERR_INVALID, field, "%s must not begin or end with '-'", field);
	return 0;
}
