/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chacha - the ChaCha20 block function of RFC 8439, section 2.3: what id_random() is made of.
 *
 * Not for encryption; that is OpenSSL's. Any process, any thread.
 */
#ifndef MAYFLY_BASE_CHACHA_H
#define MAYFLY_BASE_CHACHA_H

#include <stdint.h>

#define CHACHA_KEY_BYTES   32
#define CHACHA_NONCE_BYTES 12
#define CHACHA_BLOCK_BYTES 64

void chacha_block(const uint8_t key[static CHACHA_KEY_BYTES], uint32_t counter,
	const uint8_t nonce[static CHACHA_NONCE_BYTES], uint8_t ret[static CHACHA_BLOCK_BYTES]);

#endif
