// SPDX-License-Identifier: Apache-2.0
//
// words - errors of the function as its developer should read them: paths as in the source folder,
// no frames of this shim or of Node itself, and the errno where a limit of the platform was met.
'use strict';

const ERRNO = /^E[A-Z0-9]+$/;
const MAX_MESSAGE = 8 * 1024;
const MAX_TRACE = 16 * 1024;

let prefixes = [];

// Folders whose files are shown by their names inside: [["/code/", ""], …].
function setup(code) {
	prefixes = [
		[`file://${code}/`, ''], [`${code}/`, ''],
		['file:///deps/', 'node_modules/'], ['/deps/', 'node_modules/'],
	];
}

function shown(text) {
	let result = text;
	for (const [prefix, name] of prefixes) result = result.replaceAll(prefix, name);
	return result;
}

function isError(value) {
	return value !== null && typeof value === 'object' && typeof value.message === 'string';
}

function kindOf(value) {
	if (value === null) return 'null';
	const kind = typeof value;
	return kind === 'object' || kind === 'undefined' ? `an ${kind}`.replace('an u', 'u') : `a ${kind}`;
}

function typeOf(error) {
	if (!isError(error)) return error === null ? 'null' : typeof error;
	if (typeof error.code === 'string' && ERRNO.test(error.code)) return error.code;
	return String(error.name || 'Error');
}

function messageOf(error) {
	if (isError(error)) return shown(error.message).slice(0, MAX_MESSAGE);
	try {
		return (typeof error === 'object' ? JSON.stringify(error) : String(error)).slice(0, MAX_MESSAGE);
	} catch {
		return 'a value that cannot be shown';
	}
}

function isForeign(line) {
	return line.startsWith('    at ') && (line.includes(__dirname) || line.includes('node:internal'));
}

function stackOf(error, depth) {
	if (!isError(error) || typeof error.stack !== 'string') return '';
	const own = error.stack.split('\n').filter((line) => !isForeign(line)).join('\n');
	const cause = depth < 4 ? stackOf(error.cause, depth + 1) : '';
	return cause ? `${own}\nCaused by: ${cause}` : own;
}

function traceOf(error) {
	try {
		return shown(stackOf(error, 0)).slice(0, MAX_TRACE);
	} catch {
		return '';
	}
}

// type NUL message NUL trace, as ERROR and FAIL carry it.
function payload(type, message, trace) {
	const clean = (text) => text.replaceAll('\0', ' ');
	return `${clean(type)}\0${clean(message)}\0${clean(trace)}`;
}

module.exports = { setup, shown, kindOf, typeOf, messageOf, traceOf, payload };
