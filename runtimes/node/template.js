// SPDX-License-Identifier: Apache-2.0
//
// template - a Node that is booted, warm and has no function: instances are forked from it.
//
// No code of a tenant's runs here, ever. What is loaded is what functions commonly load. A fork
// has the main thread only, and so the threads of V8 are ended before (platform.h); a Node that
// cannot be forked says why and ends, and instances are booted then.
'use strict';

const fs = require('fs');
const path = require('path');
const v8 = require('v8');
const vm = require('vm');
const log = require('./log.js');
const random = require('./random.js');
const parts = require('./parts.js');
const { rehearse } = require('./rehearse.js');

const ADDON = path.join(__dirname, 'mayfly-node.node');
const INIT = 1;

// What is compiled stays compiled. A call that starts from fresh state starts with an empty young
// generation, which would be collected, and grow, in each.
const FLAGS = ['--no-flush-bytecode', '--min-semi-space-size=8'];
const HEAD_SIZE = 16;

const MODULES = ['assert', 'async_hooks', 'buffer', 'child_process', 'crypto', 'diagnostics_channel',
	'dns', 'dns/promises', 'events', 'fs', 'fs/promises', 'http', 'https', 'module', 'net', 'os',
	'path', 'perf_hooks', 'process', 'querystring', 'readline', 'stream', 'stream/promises',
	'stream/web', 'string_decoder', 'timers', 'timers/promises', 'tls', 'url', 'util', 'v8', 'vm',
	'worker_threads', 'zlib'];

// Parts of Node that are loaded by their first use.
const GLOBALS = ['AbortController', 'Blob', 'BroadcastChannel', 'CompressionStream', 'CustomEvent',
	'FormData', 'Headers', 'MessageChannel', 'ReadableStream', 'Request', 'Response', 'TextDecoder',
	'TextEncoder', 'TransformStream', 'URL', 'URLSearchParams', 'WebAssembly', 'WritableStream',
	'crypto', 'fetch', 'performance', 'queueMicrotask', 'structuredClone'];

// What Node reads of the environment while it boots. A function that sets such a variable gets a
// Node of its own.
const DEFAULTS = {
	PATH: '/usr/local/bin:/usr/bin:/bin', HOME: '/tmp', TMPDIR: '/tmp', LANG: 'C.UTF-8', TZ: 'UTC',
};
const BOOT_VARIABLE = /^(?:NODE_(?!ENV$|TLS_REJECT_UNAUTHORIZED$)|LD_|GLIBC_|MALLOC_|OPENSSL_|LC_|LANG|ICU_)/;

function refuse(addon, reason) {
	addon.refuse(`${reason}\0`);
	process.exit(1);
}

// This program again, with the addon before all libraries: preload.h.
function startAgain(addon) {
	const words = [process.execPath, ...FLAGS, ...process.argv.slice(1)];
	addon.startAgain(`${ADDON}\0`, words.map((word) => `${word}\0`).join(''));
}

async function warm(addon) {
	for (const name of MODULES) require(`node:${name}`);
	for (const name of GLOBALS) void globalThis[name];
	await import('./rehearse.mjs');
	await parts.use();
	await rehearse(addon);
	v8.setFlagsFromString('--expose-gc');
	const collect = vm.runInNewContext('gc');
	v8.setFlagsFromString('--no-expose-gc');
	collect();
	collect();
	await rehearse(addon);
}

// Anything that a fork would share or lose.
function whatIsAlive() {
	return process.getActiveResourcesInfo().filter((name) => !/^(?:Immediate|CloseReq)$/.test(name));
}

// What has been closed is gone a moment later.
async function settle() {
	for (let n = 0; n < 500 && whatIsAlive().length > 0; n++) {
		await new Promise((done) => setTimeout(done, 2));
	}
	return whatIsAlive();
}

// ---- in a fork ----

function readWhole(fd, size) {
	const bytes = Buffer.allocUnsafeSlow(size);
	for (let at = 0; at < size;) {
		const n = readSome(fd, bytes, at);
		if (n === 0) process.exit(0);
		at += n;
	}
	return bytes;
}

function readSome(fd, bytes, at) {
	for (;;) {
		try {
			return fs.readSync(fd, bytes, at, bytes.length - at);
		} catch (error) {
			if (error.code !== 'EAGAIN') throw error;
			Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
		}
	}
}

// What mayfly-init does for a runtime that it starts.
function readEnvironment() {
	const head = readWhole(3, HEAD_SIZE);
	if (head[4] !== INIT) process.exit(1);
	const env = { ...DEFAULTS };
	for (const line of readWhole(3, head.readUInt32LE(0)).toString().split('\0')) {
		const equals = line.indexOf('=');
		if (equals > 0 && !line.startsWith('MAYFLY_COMMAND_')) env[line.slice(0, equals)] = line.slice(equals + 1);
	}
	return env;
}

function needsBoot(env) {
	return Object.keys(env).some((name) => BOOT_VARIABLE.test(name) && env[name] !== DEFAULTS[name]);
}

function setEnvironment(env) {
	for (const name of Object.keys(process.env)) delete process.env[name];
	Object.assign(process.env, env);
}

function bootInstead(addon, env) {
	const words = [process.execPath, path.join(__dirname, 'shim.js')];
	const lines = Object.entries(env).map(([name, value]) => `${name}=${value}\0`);
	addon.become(words.map((word) => `${word}\0`).join(''), lines.join(''));
}

// What Node took down when it booted, and is another's now.
function correctProcess(addon) {
	const start = process.hrtime();
	Object.defineProperty(process, 'pid', {
		value: addon.pid(), configurable: true, enumerable: true, writable: false,
	});
	process.uptime = () => {
		const [seconds, nanoseconds] = process.hrtime(start);
		return seconds + nanoseconds / 1e9;
	};
	process.execArgv.length = 0;
	process.reallyExit = (status) => addon.exit(status);
	endEarly(addon);
}

// Where Node ends by itself it would wait for threads that a fork does not have: whoever listens for
// the end is told, and then it is the end.
function endEarly(addon) {
	process.on('exit', function first(status) {
		process.removeListener('exit', first);
		try {
			process.emit('exit', status);
		} finally {
			addon.exit(process.exitCode ?? status);
		}
	});
}

function goOn(addon) {
	correctProcess(addon);
	const env = readEnvironment();
	if (needsBoot(env)) bootInstead(addon, env);
	setEnvironment(env);
	random.renewFromKernel();
}

// start(code, addon) goes on in a fork.
async function run(start, code) {
	const addon = require(ADDON);
	if (!addon.isPreloaded()) startAgain(addon);
	for (const name of ['LD_PRELOAD', 'LD_BIND_NOW']) delete process.env[name];
	const reason = random.setup(addon) ?? addon.startPlatform();
	if (reason !== undefined) refuse(addon, reason);
	log.direct();
	await warm(addon);
	const alive = await settle();
	if (alive.length > 0) refuse(addon, `a fork would share ${alive.join(', ')}`);
	setImmediate(() => {
		if (addon.serve() !== undefined) addon.exit(0);
		try {
			goOn(addon);
			start(code, addon);
		} catch (error) {
			fs.writeSync(2, `${error.stack}\n`);
			addon.exit(1);
		}
	});
}

module.exports = { run };
