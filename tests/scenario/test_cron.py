# SPDX-License-Identifier: Apache-2.0
"""Zones and cron entries, asked of cron_probe: offsets against Python's zoneinfo, and what comes
next against an oracle that looks at every minute of the zone's clock."""
import datetime
import os
import pathlib
import random
import subprocess
import zoneinfo

import pytest

HOUSE = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get('MAYFLY_BIN', HOUSE / 'build' / 'bin'))
PROBE = BIN.parent / 'tests' / 'scenario' / 'cron_probe'
UTC = datetime.timezone.utc
DAY = 86400

# With a footer only (Etc/, EST), with half an hour of summer time, with a rule that goes backwards
# (Dublin), with changes of the month of Ramadan, with summer time in January, with a skipped day.
ZONES = ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Africa/Casablanca',
         'Asia/Kolkata', 'Etc/GMT+7', 'Asia/Tokyo', 'Europe/Dublin', 'America/Sao_Paulo',
         'Pacific/Apia', 'Pacific/Chatham', 'America/St_Johns', 'Asia/Tehran', 'Africa/Cairo',
         'America/Nuuk', 'Asia/Gaza', 'Antarctica/Troll', 'Europe/London', 'Pacific/Auckland',
         'America/Caracas', 'Asia/Pyongyang', 'Europe/Moscow', 'Africa/El_Aaiun', 'UTC']


def ask(lines):
    done = subprocess.run([PROBE], input='\n'.join(lines) + '\n', text=True, timeout=100,
                          stdout=subprocess.PIPE, check=True)
    answers = done.stdout.splitlines()
    assert len(answers) == len(lines)
    return answers


def offset(zone, moment):
    at = datetime.datetime.fromtimestamp(moment, UTC).astimezone(zone)
    return int(at.utcoffset().total_seconds())


def test_offsets_are_those_of_zoneinfo_in_every_zone_for_forty_years():
    names = sorted(zoneinfo.available_timezones() - {'localtime', 'posixrules', 'Factory'})
    assert len(names) > 400
    begin = int(datetime.datetime(2005, 1, 1, tzinfo=UTC).timestamp())
    rng = random.Random(40)
    moments = [begin + week * 7 * DAY + rng.randrange(7 * DAY) for week in range(40 * 52)]
    joined = ' '.join(map(str, moments))
    answers = ask([f'offset {name} {joined}' for name in names])
    for name, answer in zip(names, answers):
        zone = zoneinfo.ZoneInfo(name)
        assert answer.split() == [str(offset(zone, moment)) for moment in moments], name


def changes(zone, begin, end):
    """The moments at which the offset changes, found by halving."""
    found = []
    for at in range(begin, end, DAY):
        low, high = at, at + DAY
        if offset(zone, low) == offset(zone, high):
            continue
        while high - low > 1:
            middle = (low + high) // 2
            if offset(zone, middle) == offset(zone, low):
                low = middle
            else:
                high = middle
        found.append(high)
    return found


@pytest.mark.parametrize('name', ZONES)
def test_each_change_comes_at_its_second_from_1990_to_2060(name):
    zone = zoneinfo.ZoneInfo(name)
    begin = int(datetime.datetime(1990, 1, 1, tzinfo=UTC).timestamp())
    end = int(datetime.datetime(2060, 1, 1, tzinfo=UTC).timestamp())
    moments = [moment + by for moment in changes(zone, begin, end) for by in (-1, 0, 1)]
    if not moments:
        moments = [begin, end]
    answer = ask([f'offset {name} ' + ' '.join(map(str, moments))])[0]
    assert answer.split() == [str(offset(zone, moment)) for moment in moments]


@pytest.mark.parametrize('name', ZONES)
def test_a_local_time_exists_once_twice_or_not_at_all(name):
    zone = zoneinfo.ZoneInfo(name)
    begin = int(datetime.datetime(2005, 1, 1, tzinfo=UTC).timestamp())
    asked, expected = [], []
    for change in changes(zone, begin, begin + 25 * 365 * DAY):
        for local in range(change - 15 * 3600, change + 15 * 3600, 900):
            offsets = {offset(zone, change - 2 * DAY), offset(zone, change - 1),
                       offset(zone, change), offset(zone, change + 2 * DAY)}
            found = sorted(local - by for by in offsets if offset(zone, local - by) == by)
            asked.append(local)
            expected.append(f'{len(found)},{found[0]},{found[-1]}' if found
                            else f'0,{change},{change}')
    if asked:
        assert ask([f'moments {name} ' + ' '.join(map(str, asked))])[0].split() == expected


# ---- cron ----

NAMES = {'jan': 1, 'feb': 2, 'mar': 3, 'oct': 10, 'nov': 11, 'sun': 0, 'mon': 1, 'fri': 5}
BOUNDS = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]


def numbers(field, low, high):
    found = set()
    for part in field.split(','):
        span, _, step = part.partition('/')
        first, _, last = span.partition('-')
        if span == '*':
            first, last = low, high
        else:
            first = int(NAMES.get(first, first))
            last = int(NAMES.get(last, last)) if last else first
        found.update(range(first, last + 1, int(step or 1)))
    return found


class Oracle:
    """Looks at every minute in turn; knows what the clock of the zone showed before."""

    def __init__(self, text, zone):
        self.fields = text.split()
        self.sets = [numbers(field, *bounds) for field, bounds in zip(self.fields, BOUNDS)]
        self.zone = zone
        self.is_floating = '*' in self.fields[0] or '*' in self.fields[1]

    def fits(self, local):
        at = datetime.datetime.fromtimestamp(local, UTC)
        minute, hour, day, month, weekday = self.sets
        in_day = at.day in day
        in_weekday = at.isoweekday() in weekday or (at.isoweekday() == 7 and 0 in weekday)
        if '*' in self.fields[2] or '*' in self.fields[4]:
            is_day = in_day and in_weekday
        else:
            is_day = in_day or in_weekday
        return at.minute in minute and at.hour in hour and at.month in month and is_day

    def runs(self, begin, end):
        """Those in (begin, end]; both are whole minutes."""
        seen_to = begin - 2 * DAY + offset(self.zone, begin - 2 * DAY)
        for at in range(begin - 2 * DAY, end + 60, 60):
            local = at + offset(self.zone, at)
            if self.is_floating:
                is_due = self.fits(local)
            else:
                # All minutes that the clock has not shown before are looked at, once.
                is_due = any(self.fits(minute) for minute in range(seen_to + 60, local + 60, 60))
            seen_to = max(seen_to, local)
            if is_due and at > begin:
                yield at


EXPRESSIONS = [
    '30 2 * * *', '0 3 * * *', '15 1,2,3 * * *', '30 1 * * *', '*/20 * * * *', '*/15 2 * * *',
    '0 */2 * * *', '45 0 * * *', '0 0 * * *', '59 23 * * *', '0 0 1 * *', '10 2 * * sun',
    '10 2 29-31 mar,oct,nov sun', '5 4 13 * fri', '20 1-3 * * 5-7', '7 2 */2 * *', '0 12 * * 1-5',
    '30 2 25-31 3,10 *', '0,30 0-4 * feb-nov *', '1 * * * *']

# Weeks in which the clocks of the zones change.
SPANS = {
    'Europe/Berlin': ['2025-03-29', '2025-10-25', '2040-03-24', '2040-10-27'],
    'America/New_York': ['2026-03-07', '2026-10-31', '2041-03-09'],
    'Australia/Lord_Howe': ['2025-04-05', '2025-10-04', '2044-04-02'],
    'Africa/Casablanca': ['2025-02-22', '2025-04-05', '2026-02-14', '2026-03-21'],
    'Asia/Kolkata': ['2026-03-28'],
    'Etc/GMT+7': ['2026-03-28'],
    'Europe/Dublin': ['2026-03-28', '2026-10-24'],
    'Pacific/Apia': ['2011-12-29'],
    'America/Caracas': ['2016-04-30'],
    'Antarctica/Troll': ['2026-03-28', '2026-10-24'],
}


@pytest.mark.parametrize('name', SPANS)
def test_what_comes_next_is_what_a_walk_over_the_minutes_finds(name):
    zone = zoneinfo.ZoneInfo(name)
    asked, expected = [], []
    for span in SPANS[name]:
        begin = int(datetime.datetime.fromisoformat(span).replace(tzinfo=UTC).timestamp())
        for text in EXPRESSIONS:
            runs = list(Oracle(text, zone).runs(begin, begin + 3 * DAY))
            asked.append(f'cron {name} {begin} {len(runs) + 1} {text}')
            expected.append(runs)
    for question, answer, runs in zip(asked, ask(asked), expected):
        found = [int(word) for word in answer.split() if word != 'none']
        assert found[:len(runs)] == runs, question
        assert len(found) <= len(runs) or found[-1] > int(question.split()[2]) + 3 * DAY, question


def test_it_does_not_matter_from_which_minute_one_asks():
    zone = zoneinfo.ZoneInfo('Europe/Berlin')
    for span in ('2025-03-30', '2025-10-26'):
        begin = int(datetime.datetime.fromisoformat(span).replace(tzinfo=UTC).timestamp())
        for text in ('30 2 * * *', '*/20 * * * *', '0 3 * * *'):
            runs = list(Oracle(text, zone).runs(begin - DAY, begin + 2 * DAY))
            moments = range(begin - 4 * 3600, begin + 8 * 3600, 60)
            answers = ask([f'cron Europe/Berlin {moment} 1 {text}' for moment in moments])
            for moment, answer in zip(moments, answers):
                assert int(answer) == next(run for run in runs if run > moment), (text, moment)
