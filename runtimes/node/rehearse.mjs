// SPDX-License-Identifier: Apache-2.0
//
// rehearse - a module, so that what loads modules is loaded.
import { createRequire } from 'node:module';

export default createRequire(import.meta.url)('./words.js');
