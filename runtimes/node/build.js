// SPDX-License-Identifier: Apache-2.0
//
// build - installs a function's npm dependencies, in a sandbox of its own.
//
//	node /runtime/build.js <npm-cli.js> [source [build]]
//
// The source is read-only at /source; npm works in /build, through the proxy that reaches the
// configured registry only; /runtime/mayfly-pack writes node_modules as a tar to descriptor 4.
// What npm says goes to stderr, and its exit status is ours.
'use strict';

const fs = require('fs');
const path = require('path');
const { spawnSync } = require('child_process');

const PROXY = process.env.MAYFLY_PROXY ?? 'http://127.0.0.1:3128'; // '' for none
const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt';
const LOCKS = ['package-lock.json', 'npm-shrinkwrap.json'];
const HOOKS = ['preinstall', 'install', 'postinstall', 'prepublish', 'preprepare', 'prepare', 'postprepare'];

const [npm, source = '/source', build = '/build'] = process.argv.slice(2);
const pack = process.env.MAYFLY_PACK || path.join(__dirname, 'mayfly-pack');

function end(text) {
	process.stderr.write(`${text}\n`);
	process.exit(1);
}

function readManifest() {
	const file = path.join(source, 'package.json');
	if (!fs.existsSync(file)) return {};
	try {
		return JSON.parse(fs.readFileSync(file, 'utf8').replace(/^\uFEFF/, '')) || {};
	} catch (error) {
		return end(`package.json is not JSON: ${error.message}`);
	}
}

function hasDependencies(manifest) {
	return ['dependencies', 'optionalDependencies', 'peerDependencies']
		.some((kind) => Object.keys(manifest[kind] || {}).length > 0) || Boolean(manifest.workspaces);
}

// The manifests are enough, unless the installation looks at more of the source.
function needsSource(manifest) {
	const values = Object.values({ ...manifest.dependencies, ...manifest.optionalDependencies });
	return Boolean(manifest.workspaces) ||
		values.some((value) => /^(?:file:|link:|\.{0,2}\/)/.test(String(value))) ||
		HOOKS.some((hook) => manifest.scripts?.[hook]);
}

function copySource(manifest) {
	if (needsSource(manifest)) {
		const modules = path.join(source, 'node_modules');
		fs.cpSync(source, build, { recursive: true, filter: (from) => from !== modules });
		return;
	}
	for (const name of ['package.json', '.npmrc', ...LOCKS]) {
		const from = path.join(source, name);
		if (fs.existsSync(from)) fs.copyFileSync(from, path.join(build, name));
	}
}

function environment() {
	const env = {
		PATH: `${path.dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin`,
		HOME: '/tmp', TMPDIR: '/tmp', LANG: 'C.UTF-8', CI: '1', NODE_ENV: 'production',
		HTTP_PROXY: PROXY, HTTPS_PROXY: PROXY, http_proxy: PROXY, https_proxy: PROXY,
		npm_config_proxy: PROXY, npm_config_https_proxy: PROXY,
		npm_config_cafile: CERTIFICATES,
		npm_config_cache: '/tmp/npm',
		npm_config_audit: 'false', npm_config_fund: 'false', npm_config_progress: 'false',
		npm_config_update_notifier: 'false', npm_config_loglevel: 'warn', npm_config_color: 'false',
		npm_config_omit: 'dev', npm_config_install_links: 'true', npm_config_maxsockets: '8',
		npm_config_logs_max: '0',
	};
	if (!fs.existsSync(CERTIFICATES)) delete env.npm_config_cafile;
	if (process.env.MAYFLY_REGISTRY) env.npm_config_registry = process.env.MAYFLY_REGISTRY;
	return Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
}

function run(program, args, options) {
	const done = spawnSync(program, args, options);
	if (done.error) end(`${path.basename(program)}: ${done.error.message}`);
	if (done.signal) end(`${path.basename(program)} was ended by ${done.signal}`);
	if (done.status !== 0) process.exit(done.status);
}

const manifest = readManifest();
const isLocked = LOCKS.some((name) => fs.existsSync(path.join(source, name)));
const modules = path.join(build, 'node_modules');

fs.mkdirSync(build, { recursive: true });
if (isLocked || hasDependencies(manifest)) {
	copySource(manifest);
	run(process.execPath, [npm, isLocked ? 'ci' : 'install'],
		{ cwd: build, env: environment(), stdio: ['ignore', 2, 2] });
}
fs.mkdirSync(modules, { recursive: true });
fs.rmSync(path.join(modules, '.package-lock.json'), { force: true });
run(pack, [modules], { env: {}, stdio: ['ignore', 2, 2, 'ignore', 4] });
