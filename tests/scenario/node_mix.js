// SPDX-License-Identifier: Apache-2.0
//
// node_mix - one handler that does what handlers of Node do, one thing per call, and looks itself
// whether it went right: exports.handler({ do: name }) gives the name, or throws.
'use strict';

const assert = require('assert');
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const path = require('path');
const vm = require('vm');
const zlib = require('zlib');
const { AsyncLocalStorage } = require('async_hooks');
const { execFile, spawnSync } = require('child_process');
const { once } = require('events');
const { pipeline } = require('stream/promises');
const { Readable, Writable } = require('stream');
const { promisify } = require('util');
const { Worker, MessageChannel } = require('worker_threads');

const sleep = promisify(setTimeout);
const storage = new AsyncLocalStorage();

// (module (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add))
const ADD = Buffer.from('0061736d0100000001070160027f7f017f030201000707010361646400000a0901070020002' +
	'0016a0b', 'hex');

async function served(work) {
	const server = http.createServer((request, response) => response.end(`to ${request.url}`));
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	try {
		await work(`http://127.0.0.1:${server.address().port}`);
	} finally {
		server.closeAllConnections();
		server.close();
	}
}

const deeds = {
	async files() {
		const file = path.join('/tmp', crypto.randomUUID());
		await fs.promises.writeFile(file, 'x'.repeat(100000));
		const all = await Promise.all(Array.from({ length: 8 }, () => fs.promises.readFile(file)));
		assert(all.every((one) => one.length === 100000));
		await fs.promises.unlink(file);
	},
	async timers() {
		const before = performance.now();
		await sleep(20);
		assert(performance.now() - before >= 19);
		let n = 0;
		await new Promise((done) => {
			const timer = setInterval(() => {
				if (++n === 3) done(clearInterval(timer));
			}, 2);
		});
		await new Promise(setImmediate);
		await new Promise(process.nextTick);
	},
	async fetch() {
		await served(async (at) => {
			const answer = await fetch(`${at}/a`);
			assert.equal(await answer.text(), 'to /a');
		});
	},
	async http() {
		await served(async (at) => {
			const [answer] = await once(http.get(`${at}/b`), 'response');
			assert.equal(Buffer.concat(await answer.toArray()).toString(), 'to /b');
		});
	},
	async pool() {
		const key = promisify(crypto.pbkdf2)('a', 'b', 500, 32, 'sha256');
		const other = promisify(crypto.scrypt)('a', 'b', 32, { N: 1024 });
		const [one, two] = await Promise.all([key, other]);
		assert(one.length === 32 && two.length === 32);
		assert.equal((await promisify(crypto.randomBytes)(16)).length, 16);
	},
	async subtle() {
		const { subtle } = crypto.webcrypto;
		const pair = await subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign', 'verify']);
		const kind = { name: 'ECDSA', hash: 'SHA-256' };
		const text = Buffer.from('text');
		assert(await subtle.verify(kind, pair.publicKey, await subtle.sign(kind, pair.privateKey, text), text));
	},
	json() {
		const list = Array.from({ length: 26000 }, (_, id) => ({ id, name: `name ${id}`, half: id / 2 }));
		const text = JSON.stringify(list);
		assert(text.length > 900000);
		assert.equal(JSON.parse(text)[25999].id, 25999);
	},
	memory() {
		const blocks = Array.from({ length: 5 }, (_, n) => Buffer.alloc(10 << 20, n));
		assert.equal(blocks.reduce((sum, block) => sum + block[5], 0), 10);
	},
	async child() {
		const { stdout } = await promisify(execFile)(process.execPath, ['-p', '6*7']);
		assert.equal(stdout.trim(), '42');
	},
	childSync() {
		assert.equal(spawnSync(process.execPath, ['-p', '6*7']).stdout.toString().trim(), '42');
	},
	async worker() {
		const worker = new Worker('const { parentPort, workerData } = require("worker_threads");' +
			'parentPort.postMessage(workerData * 2)', { eval: true, workerData: 21 });
		const [value] = await once(worker, 'message');
		await worker.terminate();
		assert.equal(value, 42);
	},
	async message() {
		const { port1, port2 } = new MessageChannel();
		port1.postMessage({ a: 1 });
		const [value] = await once(port2, 'message');
		port1.close();
		assert.deepEqual(value, { a: 1 });
	},
	wasmSync() {
		assert.equal(new WebAssembly.Instance(new WebAssembly.Module(ADD)).exports.add(40, 2), 42);
	},
	async wasm() {
		const { instance } = await WebAssembly.instantiate(ADD);
		assert.equal(instance.exports.add(40, 2), 42);
	},
	async streams() {
		let n = 0;
		await pipeline(Readable.from(Array.from({ length: 500 }, (_, i) => `line ${i}\n`)), zlib.createGzip(),
			zlib.createGunzip(), new Writable({
				write(chunk, encoding, done) {
					n += chunk.length;
					done();
				},
			}));
		assert.equal(n, 4390);
	},
	async compress() {
		const bytes = Buffer.alloc(200000, 'abc');
		const packed = await promisify(zlib.brotliCompress)(bytes, {
			params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 3 },
		});
		assert(bytes.equals(await promisify(zlib.brotliDecompress)(packed)));
	},
	garbage() {
		let kept = [];
		for (let i = 0; i < 60000; i++) {
			kept.push({ i, list: [i, `${i}`] });
			if (kept.length > 10000) kept = kept.slice(5000);
		}
		assert(kept.at(-1).i === 59999);
	},
	hot() {
		const sum = (n) => {
			let all = 0;
			for (let i = 0; i < n; i++) all = (all * 31 + i) | 0;
			return all;
		};
		const first = sum(1000);
		for (let i = 0; i < 100; i++) sum(20000);
		assert.equal(sum(1000), first);
	},
	async signal() {
		const heard = once(process, 'SIGUSR2');
		const awake = setTimeout(() => {}, 5000);
		process.kill(process.pid, 'SIGUSR2');
		await heard;
		clearTimeout(awake);
	},
	async storage() {
		await storage.run(42, async () => {
			await sleep(1);
			await fs.promises.stat('/');
			assert.equal(storage.getStore(), 42);
		});
	},
	context() {
		assert.equal(vm.runInNewContext('[1, 2, 3].map((x) => x * 2).join()'), '2,4,6');
	},
	async wait() {
		const cell = new Int32Array(new SharedArrayBuffer(4));
		assert.equal(Atomics.wait(cell, 0, 0, 5), 'timed-out');
		const later = Atomics.waitAsync?.(cell, 0, 0, 5).value;
		const awake = setInterval(() => {}, 5);
		assert.equal(await (later ?? 'timed-out'), 'timed-out');
		clearInterval(awake);
	},
	async imports() {
		const { default: value } = await import('data:text/javascript,export default 42');
		assert.equal(value, 42);
	},
	print() {
		console.log('a line');
		console.error('another %s', { line: 1 });
	},
	intl() {
		assert.equal(new Intl.NumberFormat('en').format(1234.5), '1,234.5');
		assert.equal(new Date(0).toLocaleString('en-GB', { timeZone: 'UTC' }), '01/01/1970, 00:00:00');
	},
};

exports.deeds = Object.keys(deeds);
exports.handler = async (event) => {
	if (event.do === undefined) return exports.deeds;
	await deeds[event.do]();
	return event.do;
};
exports.about = async () => ({
	origin: performance.timeOrigin, pid: process.pid, uptime: process.uptime(), cwd: process.cwd(),
	argv: process.argv, flags: process.execArgv, variables: Object.keys(process.env).sort(),
	threads: fs.readdirSync('/proc/self/task').length, title: process.title,
	descriptors: fs.readdirSync('/proc/self/fd').length, drawn: crypto.randomUUID(),
});
