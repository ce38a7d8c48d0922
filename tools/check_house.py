#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_house [--root DIR] [RULE...] - whether the tree keeps the rules of the house.

Prints `file:line: rule: what is wrong` for each violation and exits 1 if there is one. A rule is a
function rule_<name>(tree) that yields (file, line, text). What the house allows in spite of a rule
stands in WAIVERS, each with its reason.
"""
import argparse
import fnmatch
import pathlib
import posixpath
import re
import subprocess
import sys

# (rule, file): why. A waiver that nothing needs any longer is a violation itself.
WAIVERS = {
    ('homes', 'src/keeper/keep_fork.c'):
        'a fork is made in the name of a stopped program, which stays in its sandbox',
    ('homes', 'src/keeper/mould.c'):
        'the same: a fork that stays in the sandbox of who it is made of',
    ('floors', 'src/sandbox/init_main.c'):
        'mayfly-init is a program of its own: it turns the first frame into the environment',
    ('floors', 'src/sandbox/keeper_host.c'):
        'mayfly-keeper is a program of its own: its first message comes from who starts it',
    ('names', 'src/sandbox/spawner.c'):
        'a sandbox is the second noun of spawner.h, and what it is only spawner.c knows',
}

# A room includes rooms on lower floors, and itself.
FLOORS = {
    'base': 0,
    'net': 1, 'store': 1, 'sandbox': 1, 'keeper': 1,
    'peer': 1.25,  # needs the loop
    'amqp': 1.5, 'mqtt': 1.5,  # need the loop and peer/, and the bus and connect/ need them
    'bus': 2, 'runtime': 2,
    'domain': 3,
    'api': 4, 'connect': 4, 'console': 4,
    'daemon': 5,
}
# Folders beside src/ that may include from it, and which rooms.
GUESTS = {
    'cli': {'base', 'net'},
    'bench': {'base', 'bus', 'domain', 'net', 'sandbox', 'store'},
    'runtimes': {'base', 'runtime', 'sandbox'},
    'include': set(),
}
# What a call is: where it may stand. A path that ends with / is a folder.
HOMES = [
    (r'\b(?:clone|clone3|unshare|mount|umount2?|pivot_root|setns|move_mount|fsmount|fsopen)\s*\('
     r'|\bSYS_(?:clone3?|unshare|mount|umount2|pivot_root|setns)\b', 'src/sandbox/'),
    (r'\bsqlite3_\w+', 'src/store/'),
    (r'\bpthread_create\b', 'src/base/thread.c'),
]
BANNED = re.compile(r'\b(system|popen|sprintf|vsprintf|strcpy|strcat|gets|strtok|tmpnam|mktemp)\s*\(')

MAX_FILE_LINES = 1000
MAX_FUNCTION_LINES = 100
CODE = {'.c', '.h', '.py', '.js', '.mjs', '.cjs', '.ts', '.sh'}
LICENSED = CODE | {'.build', '.yaml', '.yml', '.service', '.sysusers', '.txt'}
NAMED = ('src/', 'cli/', 'runtimes/', 'include/', 'examples/', 'bench/', 'tests/', 'tools/', 'docs/',
         'packaging/')
FOREIGN = ('tests/fuzz/corpus/', 'docs/', '.ci/', 'LICENSE')  # bytes of others, or prose


class File:
    """One text file: `lines`, and for C `code`: the same lines without comments and literals."""

    def __init__(self, root, path):
        self.path = path
        self.stem, self.suffix = path.stem, path.suffix
        self.text = (root / path).read_bytes().decode('utf-8', 'replace')
        self.lines = self.text.splitlines()
        self.code = strip_c(self.text).splitlines() if self.suffix in ('.c', '.h') else []

    def is_in(self, *folders):
        return str(self.path).startswith(folders)


def strip_c(text):
    """Comments and literals become spaces; line ends stay."""
    def blank(match):
        return re.sub(r'[^\n]', ' ', match.group())
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text,
                  flags=re.S)


class Tree:
    def __init__(self, root):
        self.root = root
        self.files = [File(root, path) for path in self._paths() if self._is_text(path)]
        self.by_path = {str(file.path): file for file in self.files}

    def _paths(self):
        listed = subprocess.run(['git', '-C', self.root, 'ls-files', '-co', '--exclude-standard',
                                 '-z'], capture_output=True)
        if listed.returncode == 0:
            names = listed.stdout.decode().split('\0')
            found = [pathlib.Path(name) for name in names if name]
        else:
            found = [path.relative_to(self.root) for path in self.root.rglob('*')]
        return sorted(path for path in set(found) if (self.root / path).is_file())

    def _is_text(self, path):
        if str(path).startswith(FOREIGN[0]) or (self.root / path).is_symlink():
            return False
        with open(self.root / path, 'rb') as file:
            return b'\0' not in file.read(4096)

    def c_files(self, *folders):
        return [file for file in self.files if file.code and file.is_in(*folders)]


def room_of(file):
    parts = file.path.parts
    return parts[1] if parts[0] == 'src' and len(parts) > 2 else None


def may_include(file, room):
    own = room_of(file)
    if own:
        return own in FLOORS and room in FLOORS and (room == own or FLOORS[room] < FLOORS[own])
    return room in GUESTS.get(file.path.parts[0], FLOORS)


def rule_floors(tree):
    """Includes go down: a room includes lower floors and itself."""
    for file in tree.c_files('src/', *(f'{guest}/' for guest in GUESTS)):
        for number, line in enumerate(file.lines, 1):
            found = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            room = found and found[1].split('/')[0]
            if not found or '/' not in found[1] or room == file.path.parts[0]:
                continue
            if not may_include(file, room):
                yield file, number, f'{found[1]} is not on a lower floor'
        if room_of(file) and room_of(file) not in FLOORS:
            yield file, 1, f'room {room_of(file)} stands on no floor'


def functions(file):
    """(name, first line, last line, is_static) of each definition: its name begins a line."""
    name = None
    for number, line in enumerate(file.code, 1):
        found = re.match(r'([a-z]\w*)\(', line)
        if name is None and found:
            name, first = found[1], number
            is_static = number > 1 and 'static' in file.code[number - 2].split()
        if name and line.startswith('}'):
            yield name, first, number, is_static
            name = None
        elif name and line.rstrip().endswith(';') and not line[:1].isspace():
            name = None


def rule_names(tree):
    """A function of several files begins with the name of its file, or with its first word."""
    for file in tree.c_files('src/', 'cli/'):
        for name, number, _, is_static in functions(file):
            allowed = (f'{file.stem}_', f'{file.stem.split("_")[0]}_', 'own_')
            if not is_static and name not in ('main', file.stem) and not name.startswith(allowed):
                yield file, number, f'{name}() does not begin with {allowed[0]}'


def rule_unique(tree):
    """A file name stands in one folder only."""
    homes = {}
    for file in tree.c_files('src/', 'cli/', 'runtimes/', 'include/'):
        home = homes.setdefault(file.stem, file.path.parent)
        if home != file.path.parent and file.stem != 'main':
            yield file, 1, f'{file.stem} stands in {home} too'


def rule_sizes(tree):
    """Files have at most 1,000 lines, functions at most 100."""
    for file in tree.files:
        if file.suffix in CODE and len(file.lines) > MAX_FILE_LINES:
            yield file, len(file.lines), f'{len(file.lines)} lines, more than {MAX_FILE_LINES}'
    for file in tree.c_files(''):
        for name, first, last, _ in functions(file):
            if last - first >= MAX_FUNCTION_LINES:
                yield file, first, f'{name}() has more than {MAX_FUNCTION_LINES} lines'


def rule_homes(tree):
    """A dangerous call stands in its home only."""
    for file in tree.c_files('src/', 'cli/', 'runtimes/', 'include/'):
        for pattern, home in HOMES:
            if file.is_in(home):
                continue
            for number, line in enumerate(file.code, 1):
                found = re.search(pattern, line)
                if found:
                    yield file, number, f'{found[0].rstrip(" (")} belongs in {home}'


def rule_banned(tree):
    """Functions that nobody calls."""
    for file in tree.c_files(''):
        for number, line in enumerate(file.code, 1):
            found = BANNED.search(line)
            if found:
                yield file, number, f'{found[1]}() is banned'


def rule_spdx(tree):
    """Sources name their licence in the first three lines."""
    for file in tree.files:
        is_source = file.suffix in LICENSED or file.text.startswith('#!') or \
            file.path.name == 'Makefile'
        if is_source and not file.is_in(*FOREIGN) and not file.is_in('examples/') and \
                not any('SPDX-License-Identifier: Apache-2.0' in line for line in file.lines[:3]):
            yield file, 1, 'no SPDX line'


def rule_leftovers(tree):
    """Nothing is left for later."""
    words = re.compile(r'\b(TO' r'DO|FIX' r'ME|X' r'XX)\b')
    for file in tree.files:
        for number, line in enumerate(file.lines, 1):
            found = words.search(line)
            if found and not file.is_in('LICENSE'):
                yield file, number, found[1]


def rule_spaces(tree):
    """No line ends with a space, and every file ends with a line end."""
    for file in tree.files:
        for number, line in enumerate(file.lines, 1):
            if line != line.rstrip(' \t'):
                yield file, number, 'a space at the end'
        if file.text and not file.text.endswith('\n'):
            yield file, len(file.lines), 'no line end at the end'


def rule_heads(tree):
    """The head of a header is `name - one sentence`."""
    for file in tree.c_files('src/', 'cli/'):
        if file.suffix == '.h' and not any(
                line.startswith(f' * {file.stem} - ') for line in file.lines[:4]):
            yield file, 1, f'the head does not begin with "{file.stem} - "'


def rule_routes(tree):
    """The route table and openapi.yaml name the same calls."""
    yaml = tree.by_path.get('src/api/openapi.yaml')
    rows = {}
    for file in tree.c_files('src/api/'):
        for found in re.finditer(r'\bROUTE\(\s*"?([A-Z]+)"?\s*,\s*"([^"]+)"', file.text):
            rows[found[1], found[2]] = file, 1 + file.text[:found.start()].count('\n')
    promised = dict(openapi_calls(yaml)) if yaml else {}
    for call, (file, number) in rows.items():
        if call not in promised:
            yield file, number, f'{" ".join(call)} is not in openapi.yaml'
    for call, number in promised.items():
        if call not in rows:
            yield yaml, number, f'{" ".join(call)} is in no route table'


def openapi_calls(yaml):
    path = None
    for number, line in enumerate(yaml.lines, 1):
        found = re.match(r"  ['\"]?(/[^\s'\"]*)['\"]?:\s*$", line)
        path = found[1] if found else None if re.match(r'\S', line) else path
        method = re.match(r'    (get|put|post|delete|patch|head|options):', line)
        if path and method:
            yield (method[1].upper(), path), number


def rule_examples(tree):
    """Every example is run by a test."""
    tests = ' '.join(file.text for file in tree.files if file.is_in('tests/'))
    for name in sorted({file.path.parts[1] for file in tree.files if file.is_in('examples/')
                        and len(file.path.parts) > 2}):
        if not re.search(rf'\b{re.escape(name)}\b', tests):
            first = next(file for file in tree.files if file.is_in(f'examples/{name}/'))
            yield first, 1, f'no test names examples/{name}'


def rule_fuzz(tree):
    """Parsers name their fuzz target, and a target is listed and has a corpus."""
    listed = tree.by_path.get('tests/fuzz/meson.build')
    for file in tree.c_files('src/'):
        named = re.findall(r'\bfuzz_\w+', file.text) if file.suffix == '.h' else []
        for name in named:
            if f'tests/fuzz/{name}.c' not in tree.by_path:
                number = 1 + file.text[:file.text.index(name)].count('\n')
                yield file, number, f'there is no tests/fuzz/{name}.c'
        if file.suffix == '.h' and 'parse' in file.stem.split('_') and not named:
            yield file, 1, 'a parser names no fuzz target'
    for file in tree.c_files('tests/fuzz/fuzz_'):
        name = file.stem.removeprefix('fuzz_')
        if not listed or f"'{name}'" not in listed.text:
            yield file, 1, f'{name} is not in tests/fuzz/meson.build'
        corpus = tree.root / 'tests/fuzz/corpus' / name
        if not corpus.is_dir() or not any(corpus.iterdir()):
            yield file, 1, f'tests/fuzz/corpus/{name} has no file'


def named_paths(file):
    """(line, path from the root) of what a page points to: links, and paths between backticks."""
    for number, line in enumerate(file.lines, 1):
        for target in re.findall(r'\]\(([^)\s#]+)', line):
            if '://' not in target:
                yield number, (file.path.parent / target).as_posix()
        for target in re.findall(r'`([\w./*-]+)`', line):
            if target.startswith(NAMED):
                yield number, target


def rule_docs(tree):
    """What a page points to is there; `*` stands for anything."""
    paths = set(tree.by_path)
    for path in list(paths):
        paths.update(parent.as_posix() for parent in pathlib.PurePath(path).parents)
    for file in tree.files:
        for number, target in named_paths(file) if file.suffix == '.md' else ():
            if not fnmatch.filter(paths, posixpath.normpath(target)):
                yield file, number, f'{target} is not there'


def rule_tests(tree):
    """Every unit test is built, and its cases are all run."""
    listed = tree.by_path.get('tests/unit/meson.build')
    for file in tree.c_files('tests/unit/test_'):
        if not listed or f"'{file.stem}'" not in listed.text:
            yield file, 1, f'{file.stem} is not in tests/unit/meson.build'
        for number, line in enumerate(file.lines, 1):
            found = re.match(r'(\w+)\(void \*\*\w+\)$', line)
            if found and len(re.findall(rf'\b{found[1]}\b', file.text)) < 2:
                yield file, number, f'{found[1]} is never run'


RULES = {name.removeprefix('rule_'): rule for name, rule in list(globals().items())
         if name.startswith('rule_')}


def check(root, names=None):
    """All violations as (path, line, rule, text), sorted."""
    tree = Tree(pathlib.Path(root))
    found, used = [], set()
    for name in names or RULES:
        for file, line, text in RULES[name](tree):
            waiver = (name, str(file.path))
            used.add(waiver)
            if waiver not in WAIVERS:
                found.append((str(file.path), line, name, text))
    for name, path in WAIVERS:
        if name in (names or RULES) and (name, path) not in used and path in tree.by_path:
            found.append((path, 1, name, 'a waiver that nothing needs'))
    return sorted(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--root', default=pathlib.Path(__file__).resolve().parents[1])
    parser.add_argument('rules', nargs='*', metavar='RULE', help=' '.join(RULES))
    arguments = parser.parse_args()
    unknown = set(arguments.rules) - set(RULES)
    if unknown:
        parser.error(f'no rule {" ".join(unknown)}; there are {" ".join(RULES)}')
    found = check(arguments.root, arguments.rules)
    for path, line, name, text in found:
        print(f'{path}:{line}: {name}: {text}')
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
