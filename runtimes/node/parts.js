// SPDX-License-Identifier: Apache-2.0
//
// parts - uses once what functions use of Node, in a template: the library is compiled by its first
// use, and what is compiled here no function and, in isolation call, no call compiles again.
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const stream = require('stream');
const tls = require('tls');
const util = require('util');
const vm = require('vm');
const zlib = require('zlib');
const { AsyncLocalStorage } = require('async_hooks');
const { execFile, spawnSync } = require('child_process');
const { EventEmitter, once } = require('events');
const { MessageChannel } = require('worker_threads');

const TIMES = 2;

// (module (func (export "f")))
const MODULE = Buffer.from('0061736d01000000010401600000030201000705010166000' +
	'00a040102000b', 'hex');

function values() {
	const url = new URL('http://user@example.com:8080/a%20b?c=d&e=f#g');
	url.searchParams.set('h', 'i');
	structuredClone({ list: [1, new Date(0), new Map([[1, new Set([2])]])], text: url.href });
	new TextDecoder().decode(new TextEncoder().encode('text'));
	JSON.parse(JSON.stringify({ a: [1, 'two', null, { b: true }] }));
	new Intl.DateTimeFormat('en', { timeZone: 'UTC' }).format(new Date(0));
	new Intl.NumberFormat('en').format(1234.5);
	new Date(0).toLocaleString('en', { timeZone: 'UTC' });
	util.inspect({ a: [1, { b: new Error('c') }], d: new Map([[1, 2]]) }, { depth: 4 });
	util.format('%s %d %j %o', 'a', 1, {}, []);
	Buffer.from(Buffer.from('bytes').toString('base64'), 'base64').toString('hex');
	vm.runInNewContext('1 + 1');
	new WebAssembly.Instance(new WebAssembly.Module(MODULE));
}

async function events() {
	const storage = new AsyncLocalStorage();
	const emitter = new EventEmitter();
	await storage.run({}, async () => {
		setImmediate(() => emitter.emit('it', storage.getStore()));
		await once(emitter, 'it');
	});
	const timer = setInterval(() => emitter.emit('it'), 1);
	await once(emitter, 'it');
	clearInterval(timer);
	await WebAssembly.instantiate(MODULE);
	const { port1, port2 } = new MessageChannel();
	port1.postMessage({ a: 1 });
	await once(port2, 'message');
	port1.close();
	const controller = new AbortController();
	controller.signal.addEventListener('abort', () => {});
	controller.abort();
}

async function ciphers() {
	const { subtle } = crypto.webcrypto;
	crypto.createHash('sha256').update('a').digest('hex');
	crypto.createHmac('sha256', 'key').update('a').digest('base64');
	const key = crypto.randomBytes(32);
	const cipher = crypto.createCipheriv('aes-256-gcm', key, crypto.randomBytes(12));
	cipher.update('text', 'utf8');
	cipher.final();
	crypto.timingSafeEqual(key, key);
	crypto.randomUUID();
	crypto.randomInt(10);
	await util.promisify(crypto.randomBytes)(8);
	await util.promisify(crypto.pbkdf2)('a', 'b', 1, 32, 'sha256');
	await util.promisify(crypto.scrypt)('a', 'b', 32, { N: 2 });
	await subtle.digest('SHA-256', key);
	const kind = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
	const pair = await subtle.generateKey(kind, false, ['sign', 'verify']);
	await subtle.verify(kind, pair.publicKey, await subtle.sign(kind, pair.privateKey, key), key);
	const { privateKey, publicKey } = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
	crypto.verify('sha256', key, publicKey, crypto.sign('sha256', key, privateKey));
}

async function files() {
	const handle = await fs.promises.open(__filename);
	await handle.read(Buffer.alloc(16), 0, 16, 0);
	await handle.close();
	await fs.promises.readdir(__dirname, { withFileTypes: true });
	await fs.promises.readFile(__filename, 'utf8');
	await fs.promises.access('/nowhere').catch(() => {});
	fs.readFileSync(__filename, 'utf8');
	fs.existsSync('/nowhere');
	fs.statSync(__filename);
	await once(fs.createReadStream(__filename).resume(), 'close');
}

async function streams() {
	const sink = new stream.Writable({ write: (chunk, encoding, done) => done() });
	await stream.promises.pipeline(stream.Readable.from(['a', 'b']), new stream.PassThrough(),
		zlib.createGzip(), zlib.createGunzip(), sink);
	await util.promisify(zlib.gunzip)(await util.promisify(zlib.gzip)('text'));
	await util.promisify(zlib.brotliDecompress)(zlib.brotliCompressSync('text'));
	await new Response(new Blob(['text']).stream()).text();
	await new Response(new URLSearchParams({ a: 'b' })).formData();
	const headers = new Headers({ a: 'b' });
	new Request('http://localhost/', { method: 'POST', body: '{}', headers });
}

// A server on the loopback of its own, which nobody else reaches.
async function network() {
	const server = http.createServer((request, response) => {
		request.resume().on('end', () => {
			response.setHeader('content-type', 'application/json');
			response.end('{"a":1}');
		});
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	const at = `http://127.0.0.1:${server.address().port}/`;
	for (let n = 0; n < TIMES && typeof fetch === 'function'; n++) {
		await (await fetch(at)).json();
		await (await fetch(at, { method: 'POST', body: '{}' })).text();
	}
	for (let n = 0; n < TIMES; n++) {
		const request = http.request(at, { method: 'POST', agent: false });
		request.end('body');
		const [response] = await once(request, 'response');
		await response.toArray();
	}
	server.closeAllConnections?.();
	server.close();
	await once(server, 'close');
	tls.createSecureContext(); // parses the certificates of authorities
}

async function children() {
	await util.promisify(execFile)(process.execPath, ['--version']);
	spawnSync(process.execPath, ['--version']);
}

// What does not work here is not made ready, and no more.
async function use() {
	const parts = [values, events, ciphers, files, streams];
	for (let n = 0; n < TIMES; n++) {
		for (const part of parts) await Promise.resolve().then(part).catch(() => {});
	}
	for (const part of [network, children]) await part().catch(() => {});
}

module.exports = { use };
