/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz - the one function that a fuzz target defines.
 *
 * It must bear any bytes. What it finds wrong it says with must(); it always gives 0.
 */
#ifndef MAYFLY_FUZZ_H
#define MAYFLY_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#endif
