// SPDX-License-Identifier: Apache-2.0
//
// load - finds the handler that MAYFLY_HANDLER names, and says what is wrong in the developer's
// words: which file, which line, which module, what is exported instead.
'use strict';

const fs = require('fs');
const path = require('path');
const { pathToFileURL } = require('url');
const { createRequire } = require('module');
const words = require('./words.js');

const EXTENSIONS = ['.js', '.mjs', '.cjs'];

class LoadError extends Error {
	constructor(type, message, trace) {
		super(message);
		this.type = type;
		this.trace = trace || '';
	}
}

// "src/index.handler" → { file: "src/index", names: ["handler"] }
function split(spec) {
	const slash = spec.lastIndexOf('/') + 1;
	const dot = spec.indexOf('.', slash);
	if (dot <= slash || dot === spec.length - 1) {
		throw new LoadError('Runtime.MalformedHandlerName',
			`the handler '${spec}' is not of the form file.export, as index.handler is`);
	}
	return { file: spec.slice(0, dot), names: spec.slice(dot + 1).split('.') };
}

function isFile(file) {
	return fs.statSync(file, { throwIfNoEntry: false })?.isFile() === true;
}

function listing(folder) {
	try {
		const names = fs.readdirSync(folder).filter((name) => name !== 'node_modules');
		if (names.length === 0) return 'the code is empty';
		if (names.length === 1 && fs.statSync(path.join(folder, names[0])).isDirectory()) {
			return `the code has the folder ${names[0]} and nothing else: upload what is in it`;
		}
		const more = names.length > 10 ? ', …' : '';
		return `the code has ${names.slice(0, 10).join(', ')}${more}`;
	} catch {
		return 'the code cannot be read';
	}
}

function findFile(code, file) {
	for (const extension of EXTENSIONS) {
		const found = path.join(code, file + extension);
		if (isFile(found)) return found;
	}
	throw new LoadError('Runtime.ImportModuleError',
		`there is no ${file}.js, ${file}.mjs or ${file}.cjs: ${listing(code)}`);
}

// What package.json says about .js files, from the folder of `file` up to the code's own.
function isModule(file, code) {
	if (file.endsWith('.mjs')) return true;
	if (file.endsWith('.cjs')) return false;
	let folder = path.dirname(file);
	for (;;) {
		const manifest = path.join(folder, 'package.json');
		if (isFile(manifest)) {
			try {
				return JSON.parse(fs.readFileSync(manifest, 'utf8')).type === 'module';
			} catch (error) {
				throw new LoadError('Runtime.ImportModuleError',
					`${words.shown(manifest)} is not JSON: ${error.message}`);
			}
		}
		if (folder === code || folder.length <= code.length) return false;
		folder = path.dirname(folder);
	}
}

async function loadFile(file, code) {
	if (isModule(file, code)) return import(pathToFileURL(file).href);
	try {
		return createRequire(file)(file);
	} catch (error) {
		const isAsync = error?.code === 'ERR_REQUIRE_ESM' || error?.code === 'ERR_REQUIRE_ASYNC_MODULE';
		if (isAsync && !error.message.includes('node_modules')) return import(pathToFileURL(file).href);
		throw error;
	}
}

// "/code/index.js:3" in a first line, where Node puts the place of a syntax error.
function placeIn(text) {
	const match = /^(?:file:\/\/)?(\/.*):(\d+)$/m.exec(text);
	return match ? `${words.shown(match[1])}:${match[2]}: ` : '';
}

// For a module Node keeps the place to itself until the error ends a process: one is ended. Nothing
// of the module runs in it, since it cannot be parsed.
function placeOfModule(file) {
	const { spawnSync } = require('child_process');
	const source = `import(${JSON.stringify(pathToFileURL(file).href)})`;
	const done = spawnSync(process.execPath, ['-e', source],
		{ stdio: ['ignore', 'ignore', 'pipe'], timeout: 5000, encoding: 'utf8' });
	return placeIn(done.stderr || '');
}

function syntaxPlace(error, file) {
	const first = String(error.stack).split('\n', 1)[0];
	return placeIn(first) || (file === null ? '' : placeOfModule(file));
}

function missingModule(error) {
	const message = String(error.message);
	const match = /^Cannot find (?:module|package) '([^']+)'/.exec(message);
	if (!match) return message;
	const from = /(?:Require stack:\n- |imported from )(.+)/.exec(message);
	const name = words.shown(match[1]);
	const who = from ? words.shown(from[1].trim()) : 'the code';
	const isOwn = match[1].startsWith('.') || match[1].startsWith('/');
	return isOwn
		? `${who} needs the file '${name}', which is not in the code`
		: `${who} needs the module '${name}', which is neither in the code nor among its ` +
			'dependencies (is it in package.json?)';
}

function explain(error, file) {
	if (error instanceof LoadError) return error;
	if (error instanceof SyntaxError) {
		const place = syntaxPlace(error, file);
		return new LoadError('Runtime.UserCodeSyntaxError', `${place}${error.message}`,
			words.traceOf(error));
	}
	const code = error?.code;
	if (code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND') {
		return new LoadError('Runtime.ImportModuleError', missingModule(error), words.traceOf(error));
	}
	return new LoadError(words.typeOf(error), `loading the code: ${words.messageOf(error)}`,
		words.traceOf(error));
}

function exportsOf(loaded) {
	const names = new Set();
	const kinds = [loaded, loaded?.default];
	for (const one of kinds) {
		if (one === null || (typeof one !== 'object' && typeof one !== 'function')) continue;
		for (const name of Object.keys(one)) names.add(name);
	}
	names.delete('module.exports');
	names.delete('__esModule');
	return [...names];
}

function pick(root, names) {
	let at = root;
	for (const name of names) {
		if (at === undefined || at === null) return undefined;
		at = at[name];
	}
	return at;
}

function choose(loaded, file, names) {
	const found = pick(loaded, names) ?? pick(loaded?.default, names);
	if (typeof found === 'function') return found;
	const name = names.join('.');
	if (found !== undefined) {
		throw new LoadError('Runtime.HandlerNotFound',
			`${words.shown(file)} exports '${name}', but as ${words.kindOf(found)}, not as a function`);
	}
	if (typeof loaded === 'function') return loaded;
	if (typeof loaded?.default === 'function') return loaded.default;
	const have = exportsOf(loaded);
	const list = have.length > 0 ? `it exports ${have.slice(0, 20).join(', ')}` : 'it exports nothing';
	throw new LoadError('Runtime.HandlerNotFound',
		`${words.shown(file)} does not export '${name}': ${list}`);
}

// A hook of the function by its name, undefined if it has none.
function hook(loaded, name, file) {
	const found = loaded?.[name] ?? loaded?.default?.[name];
	if (found === undefined || found === null) return undefined;
	if (typeof found === 'function') return found;
	throw new LoadError('Runtime.HandlerNotFound',
		`${words.shown(file)} exports '${name}', but as ${words.kindOf(found)}, not as a function`);
}

function guarded(run, name) {
	return run && (async () => {
		try {
			await run();
		} catch (error) {
			throw new LoadError(words.typeOf(error), `${name}: ${words.messageOf(error)}`,
				words.traceOf(error));
		}
	});
}

// Gives { handler, beforeSnapshot, afterRestore }, functions of the module, the last two where it
// has them; throws LoadError only, and so does beforeSnapshot().
async function load(spec, code) {
	let found = null;
	try {
		const { file, names } = split(spec);
		found = findFile(code, file);
		const loaded = await loadFile(found, code);
		return {
			handler: choose(loaded, found, names),
			beforeSnapshot: guarded(hook(loaded, 'beforeSnapshot', found), 'beforeSnapshot'),
			afterRestore: hook(loaded, 'afterRestore', found),
		};
	} catch (error) {
		throw explain(error, found);
	}
}

module.exports = { load };
