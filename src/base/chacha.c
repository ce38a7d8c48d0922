/* SPDX-License-Identifier: Apache-2.0 */
#include "base/chacha.h"

#include <endian.h>
#include <string.h>

static uint32_t
chacha_rotate(uint32_t x, int bits)
{
	return x << bits | x >> (32 - bits);
}

static void
chacha_quarter(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d)
{
	*a += *b;
	*d = chacha_rotate(*d ^ *a, 16);
	*c += *d;
	*b = chacha_rotate(*b ^ *c, 12);
	*a += *b;
	*d = chacha_rotate(*d ^ *a, 8);
	*c += *d;
	*b = chacha_rotate(*b ^ *c, 7);
}

static void
chacha_load(uint32_t *words, const uint8_t *bytes, int n)
{
	memcpy(words, bytes, (size_t)n * 4);
	for (int i = 0; i < n; i++)
		words[i] = le32toh(words[i]);
}

void
chacha_block(const uint8_t key[static CHACHA_KEY_BYTES], uint32_t counter,
	const uint8_t nonce[static CHACHA_NONCE_BYTES], uint8_t ret[static CHACHA_BLOCK_BYTES])
{
	uint32_t state[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
	uint32_t x[16];

	chacha_load(state + 4, key, 8);
	state[12] = counter;
	chacha_load(state + 13, nonce, 3);
	memcpy(x, state, sizeof(x));
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 4; i++)
			chacha_quarter(&x[i], &x[4 + i], &x[8 + i], &x[12 + i]);
		for (int i = 0; i < 4; i++)
			chacha_quarter(&x[i], &x[4 + (i + 1) % 4], &x[8 + (i + 2) % 4],
				&x[12 + (i + 3) % 4]);
	}
	for (int i = 0; i < 16; i++)
		x[i] = htole32(x[i] + state[i]);
	memcpy(ret, x, CHACHA_BLOCK_BYTES);
}
