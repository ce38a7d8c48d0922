// SPDX-License-Identifier: Apache-2.0
// A function in JavaScript that leaves something behind, and one that looks for it: as the one in
// Python beside it, whose words it uses.
'use strict';
const child_process = require('child_process');
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const net = require('net');
const os = require('os');
const path = require('path');
const util = require('util');
const v8 = require('v8');
const { AsyncLocalStorage } = require('async_hooks');
const { EventEmitter } = require('events');
const { Worker } = require('worker_threads');

const MARK = 'left-' + 'behind';
const traces = {};
const storage = new AsyncLocalStorage();
const kept = [];
const list = [];
const later = (ms) => new Promise((done) => setTimeout(done, ms));

class Thing {}
let ticks = 0;
const counter = (() => { let n = 0; return { add: () => { n += 1; }, get: () => n }; })();

function trace(name, leave, look) {
	traces[name] = { leave, look };
}

const status = (name) => new RegExp(`^${name}:\\t(.*)$`, 'm').exec(
	fs.readFileSync('/proc/self/status', 'utf8'))?.[1];
// What is open, but for the folder that is read for it.
function descriptors() {
	const found = {};
	for (const fd of fs.readdirSync('/proc/self/fd')) {
		try {
			found[fd] = fs.readlinkSync(`/proc/self/fd/${fd}`).split(':')[0];
		} catch { /* it was that folder */ }
	}
	return found;
}
const threads = () => fs.readdirSync('/proc/self/task').length;
const processes = () => fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).length;
const tmp = () => fs.readdirSync('/tmp').sort();
const spawn = (program, ...more) => child_process.spawn(process.execPath, ['-e', program],
	{ stdio: 'ignore', ...more[0] });

// ---- memory of the language ----

trace('a_global', () => { globalThis.left = MARK; }, () => 'left' in globalThis);
trace('a_list_that_grew', () => { list.push(MARK); }, () => list);
trace('a_class_attribute', () => { Thing.left = MARK; }, () => 'left' in Thing);
trace('a_closure', () => counter.add(), () => counter.get());
trace('a_prototype', () => { Object.prototype.left = MARK; }, () => ({}).left === MARK);
trace('a_prototype_of_arrays', () => { Array.prototype.left = () => MARK; },
	() => typeof [].left);
trace('a_patched_prototype', () => {
	const real = Promise.prototype.then;
	Promise.prototype.then = function patched(...args) { return real.apply(this, args); };
}, () => Promise.prototype.then.name);
trace('a_builtin', () => { const real = JSON.stringify; JSON.stringify = (...a) => real(...a); },
	() => JSON.stringify.name);
trace('a_patched_function', () => { const real = fs.statSync; fs.statSync = (...a) => real(...a); },
	() => fs.statSync.name);
trace('a_date', () => { Date.now = () => 7; }, () => Date.now() === 7);
trace('a_module_that_was_loaded', () => { require('./other.js').left = MARK; },
	() => Object.keys(require.cache).some((name) => name.endsWith('other.js')));
trace('a_module_that_was_forged', () => { require.cache['/code/forged.js'] = { exports: MARK }; },
	() => '/code/forged.js' in require.cache);
trace('a_module_of_node', () => { require('punycode'); },
	() => process.moduleLoadList.includes('NativeModule punycode'));
trace('a_folder_to_import_from', () => { module.paths.unshift('/tmp'); }, () => module.paths);
trace('a_symbol', () => { list[Symbol.for(MARK)] = 1; }, () => Object.getOwnPropertySymbols(list).length);
trace('a_frozen_object', () => { Object.freeze(list); }, () => Object.isFrozen(list));
trace('settings_of_modules', () => {
	EventEmitter.defaultMaxListeners = 3;
	util.inspect.defaultOptions.depth = 9;
	http.globalAgent.maxSockets = 5;
	http.globalAgent.left = MARK;
	Error.stackTraceLimit = 3;
	Buffer.poolSize = 100;
}, () => [EventEmitter.defaultMaxListeners, util.inspect.defaultOptions.depth,
	http.globalAgent.left, Error.stackTraceLimit, Buffer.poolSize]);
trace('flags_of_v8', () => { v8.setFlagsFromString('--stack-size=500'); v8.setFlagsFromString('--expose-gc'); },
	() => typeof require('vm').runInNewContext('typeof gc === "function" ? gc : undefined'));
trace('memory_of_the_pool', () => { new Uint8Array(Buffer.from('a').buffer).fill(0x5a); },
	() => Buffer.allocUnsafe(64).includes('ZZZZZZZZ'));
trace('memory_outside_of_the_heap', () => { shared.fill(7); }, () => shared[4096 * 3]);
const shared = new Uint8Array(new ArrayBuffer(1 << 20));
trace('memory_of_webassembly', () => { new Uint8Array(wasm.buffer)[70000] = 7; wasm.grow(1); },
	() => [new Uint8Array(wasm.buffer)[70000], wasm.buffer.byteLength]);
const wasm = new WebAssembly.Memory({ initial: 2, maximum: 8 });
trace('shared_memory', () => { sharedBytes[5] = 9; }, () => sharedBytes[5]);
const sharedBytes = new Uint8Array(new SharedArrayBuffer(4096));
trace('a_large_heap', () => { kept.push(Array.from({ length: 1e6 }, (_, i) => ({ i }))); }, () => kept.length);
trace('a_storage_of_calls', () => { storage.enterWith(MARK); kept.push(storage); }, () => kept.length);
trace('a_listener', () => { process.on('left', () => {}); process.on('exit', () => {}); },
	() => [process.listenerCount('left'), process.listenerCount('exit')]);
trace('a_name', () => { process.title = 'left'; }, () => process.title);
trace('a_mark_of_performance', () => { performance.mark(MARK); }, () => performance.getEntriesByName(MARK).length);

// ---- what goes on ----

trace('an_interval', () => { setInterval(() => { ticks += 1; }, 1); return later(10); }, () => ticks > 0);
trace('a_timeout', async () => { setTimeout(() => { ticks += 1; }, 25); },
	async () => { await later(60); return ticks; });
trace('an_immediate', () => { const go = () => { ticks += 1; setImmediate(go); }; go(); return later(3); },
	() => ticks > 0);
trace('a_promise_that_goes_on', () => { (async () => { for (;;) { await later(1); ticks += 1; } })(); return later(10); },
	() => ticks > 0);
trace('a_file_that_is_being_read', () => {
	const read = (done) => fs.readFile('/code/index.js', () => { ticks += 1; read(done); done(); });
	return new Promise(read);
}, () => ticks > 0);
trace('a_key_that_is_being_made', () => {
	const again = (done) => crypto.pbkdf2('a', 'b', 2000, 32, 'sha256', () => { ticks += 1; again(done); done(); });
	return new Promise(again);
}, () => ticks > 0);
trace('a_worker', async () => {
	const worker = new Worker('setInterval(() => {}, 1000)', { eval: true });
	await new Promise((done) => worker.on('online', done));
}, () => threads());
trace('a_worker_that_spins', async () => {
	const worker = new Worker('require("worker_threads").parentPort.postMessage(1); for (;;);', { eval: true });
	await new Promise((done) => worker.on('message', done));
}, () => threads());
trace('a_worker_that_writes', async () => {
	const worker = new Worker(`const { workerData, parentPort } = require('worker_threads');
		const bytes = new Uint8Array(workerData); parentPort.postMessage(1);
		for (;;) for (let i = 100; i < 200; i++) bytes[i] = 1;`,
	{ eval: true, workerData: sharedBytes.buffer });
	await new Promise((done) => worker.on('message', done));
	await later(5);
}, () => [threads(), sharedBytes[150]]);

// ---- attributes of the process ----

trace('a_variable', () => { process.env.LEFT = MARK; }, () => process.env.LEFT ?? null);
trace('a_folder', () => { process.chdir('/tmp'); }, () => process.cwd());
trace('a_mask_of_modes', () => { process.umask(0o077); }, () => status('Umask'));
trace('a_priority', () => { os.setPriority(17); }, () => os.getPriority());
trace('a_handler_of_a_signal', () => { process.on('SIGUSR2', () => {}); }, () => status('SigCgt'));
trace('an_exit_code', () => { process.exitCode = 9; }, () => process.exitCode ?? null);

// ---- descriptors, sockets, files ----

const opened = (name, leave) => trace(name, leave, descriptors);

opened('an_open_file', () => { fs.openSync('/code/index.js'); });
opened('a_deleted_file_that_is_open', () => {
	fs.writeSync(fs.openSync('/tmp/deleted', 'w+'), MARK);
	fs.unlinkSync('/tmp/deleted');
});
opened('many_descriptors', () => { for (let i = 0; i < 100; i++) fs.openSync('/dev/null'); });
opened('a_watch_on_files', () => { kept.push(fs.watch('/tmp')); });
opened('no_input', () => { fs.closeSync(0); });
opened('a_stream', async () => {
	const stream = fs.createReadStream('/code/index.js', { highWaterMark: 16 });
	kept.push(stream);
	await new Promise((done) => stream.on('open', done));
});
trace('a_listening_port', async () => {
	const server = http.createServer();
	await new Promise((done) => server.listen(5555, '127.0.0.1', done));
}, () => new Promise((done) => {
	const socket = net.connect(5555, '127.0.0.1', () => { socket.destroy(); done('reached'); });
	socket.on('error', (error) => done(error.code));
}));
trace('an_abstract_socket', async () => {
	const server = net.createServer();
	await new Promise((done) => server.listen('\0left', done));
}, () => new Promise((done) => {
	const socket = net.connect('\0left', () => { socket.destroy(); done('reached'); });
	socket.on('error', (error) => done(error.code));
}));
trace('a_connection_to_itself', async () => {
	const server = net.createServer((socket) => kept.push(socket)).listen(5557, '127.0.0.1');
	await new Promise((done) => server.on('listening', done));
	const client = net.connect(5557, '127.0.0.1');
	await new Promise((done) => client.on('connect', done));
	client.write(MARK);
	kept.push(client, server);
}, () => [Object.keys(descriptors()).length, kept.length]);

const file = (name, leave) => trace(name, leave, tmp);

file('a_file', () => fs.writeFileSync('/tmp/file', MARK));
file('a_hidden_file', () => fs.writeFileSync('/tmp/.hidden', MARK));
file('a_deep_file', () => fs.mkdirSync('/tmp' + '/deeper'.repeat(200), { recursive: true }));
file('a_file_with_an_odd_name', () => fs.writeFileSync('/tmp/a\nb\x01', MARK));
file('a_link', () => fs.symlinkSync('/code', '/tmp/link'));
file('a_folder_that_is_closed', () => {
	fs.mkdirSync('/tmp/closed');
	fs.writeFileSync('/tmp/closed/file', MARK);
	fs.chmodSync('/tmp/closed', 0);
});
trace('the_mode_of_tmp', () => fs.chmodSync('/tmp', 0o700), () => fs.statSync('/tmp').mode);
file('a_file_that_is_being_written', () => {
	const go = () => fs.writeFile(path.join('/tmp', `again-${ticks++}`), MARK, go);
	go();
	return later(5);
});

// ---- processes ----

const running = (name, leave) => trace(name, leave, processes);

running('a_child', async () => { spawn('setInterval(() => {}, 1000)'); await later(1); });
running('a_child_in_its_own_session', async () => {
	spawn('setInterval(() => {}, 1000)', { detached: true }).unref();
	await later(1);
});
running('a_child_that_is_stopped', async () => {
	spawn('setInterval(() => {}, 1000)').kill('SIGSTOP');
	await later(1);
});

// ---- what a call does to others while it ends ----

function frame(kind, payload, number) {
	const head = Buffer.alloc(16);
	head.writeUInt32LE(payload.length, 0);
	head.writeUInt8(kind, 4);
	head.writeBigUInt64LE(BigInt(number), 8);
	return Buffer.concat([head, payload]);
}

const soon = (work) => { setTimeout(work, 2); };
const harm = {
	'a late line': () => { setTimeout(() => console.log('late-line'), 20); },
	'a line without an end': () => { fs.writeSync(1, 'late-line'); },
	'part of a frame': () => soon(() => fs.writeSync(3, Buffer.from([16, 0, 0]))),
	'part of a frame at once': () => { fs.writeSync(3, Buffer.from([16, 0, 0])); },
	'a second answer': () => soon(() => {
		for (let number = 1; number < 40; number++)
			fs.writeSync(3, frame(5, Buffer.from('\x04\0\0\x00200\nforged'), number));
	}),
	'READY again': () => soon(() => fs.writeSync(3, frame(2, Buffer.alloc(0), 0))),
	'a failure': () => soon(() => fs.writeSync(3, frame(3, Buffer.from('A\0b\0c'), 0))),
	'a channel that is closed': () => soon(() => fs.closeSync(3)),
	'death to all': () => soon(() => process.kill(-1, 'SIGKILL')),
	'a stop for itself': () => soon(() => process.kill(process.pid, 'SIGSTOP')),
	'a death of its own': () => soon(() => process.kill(process.pid, 'SIGKILL')),
	'an error that nobody catches': () => soon(() => { throw new Error('late'); }),
	'a promise that nobody catches': () => { Promise.reject(new Error('late')); },
	'an endless loop': () => soon(() => { for (;;); }),
	'no more memory': () => soon(() => { for (;;) kept.push(Buffer.alloc(1 << 20, 1)); }),
	'no more heap': () => soon(() => { for (;;) kept.push(new Array(1e5).fill(ticks++)); }),
	'no more room': () => soon(() => { fs.writeFileSync('/tmp/full', Buffer.alloc(64 << 20)); }),
	'many workers': () => { for (let i = 0; i < 4; i++) kept.push(new Worker('for (;;);', { eval: true })); },
	'an exit': () => soon(() => process.exit(0)),
};

// What must never come twice.
function fresh() {
	return [Math.random(), crypto.randomUUID(), crypto.randomBytes(16).toString('hex'),
		crypto.randomInt(2 ** 47), crypto.webcrypto.randomUUID(),
		Buffer.from(crypto.webcrypto.getRandomValues(new Uint8Array(16))).toString('hex'),
		crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export(
			{ type: 'sec1', format: 'der' }).toString('hex'),
		crypto.generateKeySync('aes', { length: 128 }).export().toString('hex')];
}

const refused = ['EPERM', 'EACCES', 'EROFS', 'ENOSYS', 'EOPNOTSUPP'];

exports.handler = async (event) => {
	switch (event.do) {
	case 'leave':
		try {
			await traces[event.what].leave();
			return 'left';
		} catch (error) {
			if (refused.includes(error.code)) return 'denied';
			throw error;
		}
	case 'look':
		return (await traces[event.what].look()) ?? null;
	case 'harm':
		harm[event.what]();
		return 'done';
	case 'names':
		return { traces: Object.keys(traces), harm: Object.keys(harm) };
	case 'fresh':
		return fresh();
	default:
		process.kill(process.pid, 'SIGKILL');
		return null;
	}
};
