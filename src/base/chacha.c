/* SPDX-License-Identifier: Apache-2.0 */
#include "base/chacha.h"

#include <endian.h>
#include <string.h>

/* A row of the state: four columns are worked on at once. */
typedef uint32_t chacha_row __attribute__((vector_size(16)));

static inline chacha_row
chacha_rotate(chacha_row x, int bits)
{
	return x << bits | x >> (32 - bits);
}

static inline void
chacha_quarters(chacha_row *a, chacha_row *b, chacha_row *c, chacha_row *d)
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

/* Columns, then diagonals, which are columns of rows that are turned. */
static inline void
chacha_double_round(chacha_row row[4])
{
	chacha_quarters(&row[0], &row[1], &row[2], &row[3]);
	row[1] = __builtin_shufflevector(row[1], row[1], 1, 2, 3, 0);
	row[2] = __builtin_shufflevector(row[2], row[2], 2, 3, 0, 1);
	row[3] = __builtin_shufflevector(row[3], row[3], 3, 0, 1, 2);
	chacha_quarters(&row[0], &row[1], &row[2], &row[3]);
	row[1] = __builtin_shufflevector(row[1], row[1], 3, 0, 1, 2);
	row[2] = __builtin_shufflevector(row[2], row[2], 2, 3, 0, 1);
	row[3] = __builtin_shufflevector(row[3], row[3], 1, 2, 3, 0);
}

void
chacha_block(const uint8_t key[static CHACHA_KEY_BYTES], uint32_t counter,
	const uint8_t nonce[static CHACHA_NONCE_BYTES], uint8_t ret[static CHACHA_BLOCK_BYTES])
{
	uint32_t state[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
	uint32_t x[16];
	chacha_row row[4];

	chacha_load(state + 4, key, 8);
	state[12] = counter;
	chacha_load(state + 13, nonce, 3);
	memcpy(row, state, sizeof(row));
	for (int round = 0; round < 10; round++)
		chacha_double_round(row);
	memcpy(x, row, sizeof(x));
	for (int i = 0; i < 16; i++)
		x[i] = htole32(x[i] + state[i]);
	memcpy(ret, x, CHACHA_BLOCK_BYTES);
}
