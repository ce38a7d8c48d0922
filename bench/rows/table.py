# SPDX-License-Identifier: Apache-2.0
"""table - the rows that were measured, as lines and as JSON."""
import json
import subprocess

from mayfly import BIN

HEAD = f"{'row':<4} {'what':<66} {'measured':>12} {'other':>10} {'unit':<7} {'ratio':>7} {'goal':<10} {'':<7} isolation profile"


class Table:
    """add() takes a figure, none() says that there is none and why."""

    def __init__(self, is_json):
        self.is_json, self.rows = is_json, []
        if not is_json:
            print(HEAD)

    def add(self, number, what, measured, unit, profile, other=None, ratio=None, goal='', is_met=None):
        self._take({'id': number, 'what': what, 'goal': goal, 'measured': round(measured, 2), 'unit': unit,
                    'other': None if other is None else round(other, 2),
                    'ratio': None if ratio is None else round(ratio, 3), 'met': is_met, 'profile': profile})

    def compare(self, number, what, ours, theirs, unit, profile, goal='', at_most=None, at_least=None):
        """Ours over theirs, held against a goal for the ratio."""
        ratio = ours / theirs if theirs else float('inf')
        is_met = ratio <= at_most if at_most else ratio >= at_least if at_least else None
        self.add(number, what, ours, unit, profile, theirs, ratio, goal, is_met)

    def none(self, number, what, why):
        self._take({'id': number, 'what': what, 'goal': '', 'measured': None, 'unit': '', 'other': None,
                    'ratio': None, 'met': None, 'profile': f'not available: {why}'})

    def _take(self, row):
        self.rows.append(row)
        if self.is_json:
            return
        words = {True: 'met', False: 'MISSED', None: ''}
        show = [('-' if row[key] is None else row[key]) for key in ('measured', 'other', 'ratio')]
        print(f"{row['id']:<4} {row['what'][:66]:<66} {show[0]:>12} {show[1]:>10} {row['unit']:<7} {show[2]:>7} "
              f"{row['goal']:<10} {words[row['met']]:<7} {row['profile']}", flush=True)

    def print_json(self, machine, rounds):
        if self.is_json:
            print(json.dumps({'machine': machine, 'rounds': rounds, 'rows': self.rows}, indent=1))


def profile_of(function):
    """What protects the function that was measured, in a few words."""
    findings = json.loads(subprocess.run([str(BIN / 'mayfly-daemon'), '--doctor', '--json'],
                                         capture_output=True, text=True).stdout)
    there = [finding['name'] for finding in findings if finding['available']]
    count = sum(name.startswith('namespace.') for name in there)
    words = [f"isolation {function['isolation']}", f"concurrency {function['concurrency']}",
             f'{count} namespaces']
    if function['mechanism_in_use']:
        words.insert(1, function['mechanism_in_use'])
    words += [word for word in ('seccomp', 'landlock') if word in there]
    words += [name for name in there if name.startswith('cgroup.v')][:1]
    return ', '.join(words + ['own uid', 'private /tmp', 'metered'])
