// SPDX-License-Identifier: Apache-2.0
//
// rehearse - the way of a call, gone before there is a function: what a call would compile and set
// up on its way is there then, and in isolation call, where every call starts from the same state,
// stays there. The handlers are our own and the channel leads nowhere.
'use strict';

const fs = require('fs');
const { once } = require('events');
const { Instance } = require('./instance.js');
const log = require('./log.js');
const frame = require('./channel.js');
const words = require('./words.js');

const TIMES = 12; // of each kind: from here on nothing is compiled any more
const DIRECT = 0;
const HTTP = 1;
const CALL_SIZE = 80;

const EVENT = {
	version: '2.0', routeKey: '$default', rawPath: '/', rawQueryString: 'a=1', cookies: ['a=b'],
	headers: { host: 'localhost', 'content-type': 'application/json', 'user-agent': 'mayfly' },
	queryStringParameters: { a: '1' },
	requestContext: {
		accountId: '', apiId: '', domainName: 'localhost', requestId: '', routeKey: '$default',
		stage: '$default', time: '', timeEpoch: 0,
		http: { method: 'POST', path: '/', protocol: 'HTTP/1.1', sourceIp: '127.0.0.1', userAgent: '' },
	},
};

const later = () => new Promise((done) => setImmediate(done));

// Every way to answer: [trigger, handler].
const HANDLERS = [
	[HTTP, async (event) => ({ statusCode: 200, headers: { 'x-a': 'b' }, body: event.body })],
	[HTTP, (event) => ({ path: event.rawPath, list: [1, 'two', null] })],
	[HTTP, async () => 'text'],
	[HTTP, async () => Buffer.from('bytes')],
	[HTTP, async () => later().then(() => ({ statusCode: 204 }))],
	[HTTP, (event, context, callback) => callback(null, context.awsRequestId)],
	[DIRECT, async (event) => event],
	[DIRECT, () => [1, 'two', { three: null }]],
	[DIRECT, async (event, context) => context.getRemainingTimeInMillis()],
	[DIRECT, () => {
		throw new Error('rehearsal');
	}],
];

function callFrame(number, trigger) {
	const head = Buffer.from(trigger === HTTP ? JSON.stringify(EVENT) : '');
	const body = Buffer.from('{"name":"a value","n":1}');
	const bytes = Buffer.alloc(frame.HEAD_SIZE + CALL_SIZE, 0);
	const at = frame.HEAD_SIZE;
	bytes.writeUInt32LE(CALL_SIZE + head.length + body.length, 0);
	bytes[4] = frame.CALL;
	bytes.writeUInt32LE(number, 8);
	bytes.write('01J00000000000000000000000', at + 32, 'latin1');
	bytes[at + 58] = trigger;
	bytes.writeDoubleLE(0, at + 64);
	bytes.writeUInt32LE(head.length, at + 72);
	return Buffer.concat([bytes, head, body]);
}

// Calls the handlers by turns over a channel of their own.
async function callAll(instance, far) {
	const answers = Buffer.alloc(64 * 1024);
	let seen = 0;
	for (let n = 0; n < TIMES * HANDLERS.length; n++) {
		const [trigger, handler] = HANDLERS[n % HANDLERS.length];
		instance.handler = handler.length < 3
			? (event, context) => (seen++, handler(event, context))
			: (event, context, callback) => (seen++, handler(event, context, callback));
		fs.writeSync(far, callFrame(n + 1, trigger));
		while (seen <= n || instance.calls.size > 0) await later();
		fs.readSync(far, answers);
	}
}

// What is printed goes nowhere.
function print() {
	const restore = log.mute();
	for (let n = 0; n < TIMES; n++) {
		console.log('rehearsal', n);
		console.error('rehearsal %s', { n });
	}
	restore();
}

// Timers and files, with the threads that read them.
async function wait() {
	for (let n = 0; n < TIMES; n++) {
		await new Promise((done) => setTimeout(done, 0));
		await fs.promises.readFile(__filename);
		await new Promise((done) => fs.stat(__filename, done));
	}
}

async function rehearse(addon) {
	const [near, far] = addon.pair();
	const instance = new Instance({}, near, () => {});
	await callAll(instance, far);
	await wait();
	const closed = once(instance.channel.socket, 'close');
	instance.channel.socket.destroy();
	await closed;
	fs.closeSync(far);
	words.traceOf(new Error('rehearsal'));
	print();
}

module.exports = { rehearse };
