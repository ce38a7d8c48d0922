// SPDX-License-Identifier: Apache-2.0
// What handlers in JavaScript really do. Each deed gives the same value in every call.
'use strict';
const child_process = require('child_process');
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const util = require('util');
const zlib = require('zlib');
const { once } = require('events');
const { Worker } = require('worker_threads');

const later = (ms) => new Promise((done) => setTimeout(done, ms));
const pbkdf2 = util.promisify(crypto.pbkdf2);
const gzip = util.promisify(zlib.gzip);
const gunzip = util.promisify(zlib.gunzip);
const rows = Array.from({ length: 10000 }, (_, i) => ({ id: i, name: `name ${i}`, tags: ['a', 'b'], even: i % 2 === 0 }));

async function withServer(use) {
	const server = http.createServer((request, response) => response.end('served'));
	await once(server.listen(0, '127.0.0.1'), 'listening');
	try {
		return await use(`http://127.0.0.1:${server.address().port}/`);
	} finally {
		server.closeAllConnections();
		server.close();
	}
}

const deeds = {
	'nothing': async () => 'well',
	'timers': async () => { await Promise.all([later(1), later(2), later(3)]); return 'well'; },
	'a timer that is left': async () => { setTimeout(() => {}, 60000); return 'well'; },
	'async file reads': async () => {
		const texts = await Promise.all(Array.from({ length: 8 }, () => fs.promises.readFile('/code/index.js')));
		return texts.every((text) => text.length === texts[0].length);
	},
	'files in /tmp': async () => {
		await fs.promises.writeFile('/tmp/a', 'x'.repeat(100000));
		const { length } = await fs.promises.readFile('/tmp/a', 'utf8');
		await fs.promises.mkdir('/tmp/b/c', { recursive: true });
		return length;
	},
	'fetch to a local server': () => withServer(async (url) => (await fetch(url)).text()),
	'http to a local server': () => withServer((url) => new Promise((done, fail) => {
		http.get(url, (response) => {
			let text = '';
			response.on('data', (part) => { text += part; }).on('end', () => done(text));
		}).on('error', fail);
	})),
	'crypto in the thread pool': async () => (await Promise.all(
		Array.from({ length: 4 }, () => pbkdf2('word', 'salt', 500, 32, 'sha256'))))[3].toString('hex'),
	'a signature': async () => {
		const { privateKey, publicKey } = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
		return crypto.verify('sha256', Buffer.from('a'), publicKey, crypto.sign('sha256', Buffer.from('a'), privateKey));
	},
	'JSON of 1 MB': async () => JSON.parse(JSON.stringify(rows)).length,
	'50 MB': async () => { const block = Buffer.alloc(50 << 20, 1); return block[block.length - 1]; },
	'zlib': async () => (await gunzip(await gzip(Buffer.alloc(1 << 20, 'abc')))).length,
	'child_process': async () => (await util.promisify(child_process.execFile)(
		process.execPath, ['-p', '6 * 7'])).stdout.trim(),
	'worker_threads': async () => {
		const worker = new Worker('require("worker_threads").parentPort.postMessage(6 * 7)', { eval: true });
		const exited = once(worker, 'exit');
		const [answer] = await once(worker, 'message');
		await exited;
		return answer;
	},
	'WebAssembly': async () => {
		const code = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 127, 3, 2, 1, 0, 7, 5, 1, 1,
			97, 0, 0, 10, 6, 1, 4, 0, 65, 42, 11]);
		return (await WebAssembly.instantiate(code)).instance.exports.a();
	},
	'streams': async () => {
		let size = 0;
		for await (const part of fs.createReadStream('/code/index.js', { highWaterMark: 256 })) size += part.length;
		return size > 1000;
	},
	'lines of a log': async () => { for (let i = 0; i < 20; i++) console.log('line', i, { of: 'a log' }); return 'well'; },
};

exports.handler = async (event) => (event.do ? deeds[event.do]() : Object.keys(deeds));
