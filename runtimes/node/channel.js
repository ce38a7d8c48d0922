// SPDX-License-Identifier: Apache-2.0
//
// channel - frames on descriptor 3 (src/runtime/frame.h), for one thread.
//
// Reads land in one buffer that is used again and again, and a frame that is whole in it is handed
// over in place: who keeps bytes copies them. Writes are gathered in another buffer and leave by
// one write(2) as soon as nothing more can come in this turn; the stream layer is used only while
// the socket is full. fs and net are taken before the function can change them.
'use strict';

const net = require('net');
const { writeSync } = require('fs');

const HEAD_SIZE = 16;
const IN_SIZE = 256 * 1024;
const OUT_SIZE = 128 * 1024;
const PIECE_SIZE = 256 * 1024;

const INIT = 1;
const READY = 2;
const FAIL = 3;
const CALL = 4;
const ANSWER = 5;
const ANSWER_HEAD = 6;
const ANSWER_BODY = 7;
const ANSWER_END = 8;
const ERROR = 9;
const LOG = 10;
const CANCEL = 11;

class Channel {
	// onFrame(kind, call, buffer, start, end); onEnd() when the other side is gone.
	constructor(fd, onFrame, onEnd) {
		this.fd = fd;
		this.onFrame = onFrame;
		this.onEnd = onEnd;
		this.partial = null;
		this.partialLen = 0;
		this.out = Buffer.allocUnsafeSlow(OUT_SIZE);
		this.outLen = 0;
		this.isBlocked = false;
		this.isScheduled = false;
		this.waiting = [];
		this.flush = this.flush.bind(this);
		this.onDrained = this.onDrained.bind(this);
		this.openSocket();
	}

	openSocket() {
		const buffer = Buffer.allocUnsafeSlow(IN_SIZE);
		const callback = (n) => {
			this.onBytes(buffer, n);
			return true;
		};
		this.socket = new net.Socket({
			fd: this.fd,
			readable: true,
			writable: true,
			onread: { buffer, callback },
		});
		this.socket.on('end', this.onEnd);
		this.socket.on('error', this.onEnd);
		this.socket.resume();
	}

	onBytes(buffer, n) {
		let at = 0;
		while (at < n) {
			if (this.partial !== null) {
				at += this.fillPartial(buffer, at, n);
				continue;
			}
			const left = n - at;
			if (left < HEAD_SIZE) {
				this.partial = Buffer.allocUnsafeSlow(HEAD_SIZE);
				this.partialLen = 0;
				continue;
			}
			const size = HEAD_SIZE + buffer.readUInt32LE(at);
			if (left < size) {
				this.partial = Buffer.allocUnsafeSlow(size);
				this.partialLen = 0;
				continue;
			}
			this.dispatch(buffer, at, at + size);
			at += size;
		}
	}

	// Copies what belongs to the frame that did not come whole; gives the number of bytes eaten.
	fillPartial(buffer, at, end) {
		const partial = this.partial;
		const take = Math.min(partial.length - this.partialLen, end - at);
		buffer.copy(partial, this.partialLen, at, at + take);
		this.partialLen += take;
		if (this.partialLen < partial.length) return take;
		const size = HEAD_SIZE + partial.readUInt32LE(0);
		if (partial.length < size) {
			this.partial = Buffer.allocUnsafeSlow(size);
			partial.copy(this.partial, 0);
			return take;
		}
		this.partial = null;
		this.dispatch(partial, 0, size);
		return take;
	}

	dispatch(buffer, at, end) {
		const call = buffer.readUInt32LE(at + 8) + buffer.readUInt32LE(at + 12) * 4294967296;
		this.onFrame(buffer[at + 4], call, buffer, at + HEAD_SIZE, end);
	}

	putHead(kind, flags, call, size) {
		const { out, outLen: at } = this;
		out.writeUInt32LE(size, at);
		out[at + 4] = kind;
		out[at + 5] = flags;
		out[at + 6] = 0;
		out[at + 7] = 0;
		out.writeUInt32LE(call >>> 0, at + 8);
		out.writeUInt32LE(Math.floor(call / 4294967296), at + 12);
		this.outLen = at + HEAD_SIZE;
	}

	// ANSWER: `head` is text, `body` text or bytes. A UTF-16 unit becomes three bytes at most.
	answer(call, head, body) {
		const isText = typeof body === 'string';
		const most = 24 + head.length * 3 + body.length * (isText ? 3 : 1);
		if (most > OUT_SIZE - this.outLen) {
			this.flush();
			if (most > OUT_SIZE) {
				this.answerLarge(call, Buffer.from(head), isText ? Buffer.from(body) : body);
				return;
			}
		}
		const { out, outLen: start } = this;
		const at = start + HEAD_SIZE + 4;
		const headSize = out.write(head, at);
		let bodySize;
		if (isText) {
			bodySize = out.write(body, at + headSize);
		} else {
			out.set(body, at + headSize);
			bodySize = body.length;
		}
		this.putHead(ANSWER, 0, call, 4 + headSize + bodySize);
		out.writeUInt32LE(headSize, this.outLen);
		this.outLen = at + headSize + bodySize;
	}

	answerLarge(call, head, body) {
		this.putHead(ANSWER, 0, call, 4 + head.length + body.length);
		this.out.writeUInt32LE(head.length, this.outLen);
		this.outLen += 4;
		this.put(head);
		this.put(body);
	}

	// One frame of bytes or text; a long one of a kind that may come in pieces is cut.
	send(kind, flags, call, payload) {
		const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
		const isCut = kind === ANSWER_BODY || kind === LOG;
		let at = 0;
		do {
			const end = isCut ? Math.min(at + PIECE_SIZE, bytes.length) : bytes.length;
			if (OUT_SIZE - this.outLen < HEAD_SIZE) this.flush();
			this.putHead(kind, flags, call, end - at);
			this.put(bytes.subarray(at, end));
			at = end;
		} while (at < bytes.length);
	}

	put(bytes) {
		if (bytes.length > OUT_SIZE - this.outLen) {
			this.flush();
			if (bytes.length > OUT_SIZE / 2) {
				this.write(bytes, 0, bytes.length);
				return;
			}
		}
		this.out.set(bytes, this.outLen);
		this.outLen += bytes.length;
	}

	// Flushes when the jobs of this turn are done: answers of one turn leave together.
	schedule() {
		if (this.isScheduled) return;
		this.isScheduled = true;
		process.nextTick(this.flush);
	}

	flush() {
		this.isScheduled = false;
		const end = this.outLen;
		this.outLen = 0;
		if (end > 0) this.write(this.out, 0, end);
	}

	write(bytes, start, end) {
		if (!this.isBlocked) {
			start = this.writeNow(bytes, start, end);
			if (start === end) return;
		}
		this.isBlocked = true;
		this.socket.write(Buffer.from(bytes.subarray(start, end)), this.onDrained);
	}

	// Writes until all is written or the socket is full; gives where it stopped.
	writeNow(bytes, start, end) {
		while (start < end) {
			try {
				start += writeSync(this.fd, bytes, start, end - start);
			} catch (error) {
				if (error.code === 'EAGAIN') break;
				if (error.code !== 'EINTR') {
					this.onEnd();
					return end;
				}
			}
		}
		return start;
	}

	onDrained() {
		if (this.socket.writableLength > 0) return;
		this.isBlocked = false;
		for (const resolve of this.waiting.splice(0)) resolve();
	}

	// A promise while the other side is slow, undefined while it is not.
	drained() {
		return this.isBlocked ? new Promise((resolve) => this.waiting.push(resolve)) : undefined;
	}

	// A line of a log: who prints faster than the daemon reads waits here, for nothing bounds what
	// the stream layer would keep. (Where that layer is at work already, the bytes join it.)
	log(flag, call, bytes) {
		if (bytes.length + HEAD_SIZE > OUT_SIZE - this.outLen && !this.isBlocked) {
			this.flushWaiting(Infinity);
		}
		this.send(LOG, flag, call, bytes);
		this.schedule();
	}

	// Flushes, and sleeps while the socket is full, so many milliseconds at most.
	flushWaiting(most) {
		const end = this.outLen;
		let start = 0;
		this.outLen = 0;
		for (let waited = 0; start < end && waited < most && !this.isBlocked; waited++) {
			if (waited > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
			start = this.writeNow(this.out, start, end);
		}
	}
}

module.exports = {
	Channel, HEAD_SIZE, INIT, READY, FAIL, CALL, ANSWER, ANSWER_HEAD, ANSWER_BODY, ANSWER_END, ERROR, LOG, CANCEL,
};
