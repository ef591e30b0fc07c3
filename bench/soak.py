# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""An hour of simulated time at 50 Hz with random faults: no limit violated, nothing grows, nothing dies.

python bench/soak.py --minutes 60 --log out/soak.jsonl --json FILE

The faults are those of config/faults that need neither a process restart nor the wall clock; they come in a seeded
order, while an operator clears faults and engages again by the services. Every simulated minute is a line of the log
with limit violations, peaks, memory and threads of action_node (/proc); a run that was cut off goes on at the next
minute with new processes, and then memory is compared within the longest run of one set of processes.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from dp_ros.cli.fault_session import FaultSession
from dp_ros.cli.process_usage import usage
from dp_ros.contract.strict_yaml import load_strict_yaml
from dp_ros.evaluation.fault_judge import limit_violations, peaks
from dp_ros.share import share_path
from dp_ros.simulation.fault_files import load_faults
from dp_ros.simulation.fault_robot import Trace
from dp_ros.whole_file import whole_file

MINUTE_S = 60.0
# Until the interpreter has seen everything once.
WARM_UP_MINUTES = 3
MAX_GROWTH = 0.05


def soakable() -> list[dict]:
    """Plain data of the faults that can come at any moment."""
    folder = share_path('config', 'faults')
    return [
        load_strict_yaml(folder / f'{spec.name}.yaml')
        for spec in load_faults(folder)
        if spec.phase == 'run' and spec.pace == 'lockstep' and spec.policy == 'scripted' and not spec.action_node
        and spec.target not in ('action', 'machine')
    ]  # fmt: skip


def joined(before: Trace | None, trace: Trace) -> Trace:
    """A trace with the end of the one before, so that no step hides between two minutes."""
    if before is None:
        return trace
    return Trace(
        *(
            np.concatenate([getattr(before, name)[-4:], getattr(trace, name)])
            for name in ('times_ns', 'positions', 'velocities')
        )
    )


def growth(rows: list[dict]) -> list[str]:
    """What grew in the longest run of one set of processes: last quarter against the first after the warm-up."""
    runs: dict[int, list[dict]] = {}
    for row in rows:
        runs.setdefault(row['pid'], []).append(row)
    longest = max(runs.values(), key=len)[WARM_UP_MINUTES:]
    if len(longest) < 8:
        return [f'too short to tell: {len(longest)} minutes after the warm-up']
    quarter = len(longest) // 4
    first, last = longest[:quarter], longest[-quarter:]
    memory = [float(np.mean([row['rss_mib'] for row in part])) for part in (first, last)]
    threads = [max(row['threads'] for row in part) for part in (first, last)]
    slope = float(np.polyfit([row['minute'] for row in longest], [row['rss_mib'] for row in longest], 1)[0])
    print(
        f'memory of action_node: {memory[0]:.1f} MiB in the first quarter, {memory[1]:.1f} in the last, '
        f'{slope * 60:+.2f} MiB an hour; threads {threads[0]} -> {threads[1]}'
    )
    out = []
    if memory[1] > memory[0] * (1 + MAX_GROWTH):
        out.append(f'memory grew by {100 * (memory[1] / memory[0] - 1):.1f} %')
    if threads[1] > threads[0]:
        out.append(f'threads grew from {threads[0]} to {threads[1]}')
    return out


def main() -> int:
    """0 where nothing was violated, nothing grew and nobody died."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--minutes', type=int, default=60)
    parser.add_argument('--arms', choices=('one', 'two'), default='two')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--log', type=Path, required=True, help='one JSON line a simulated minute; appended to'
    )
    parser.add_argument('--json', type=Path, help='write the summary here')
    args = parser.parse_args()
    args.log.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in args.log.read_text().splitlines()] if args.log.is_file() else []
    rows = [row for row in rows if (row['arms'], row['seed']) == (args.arms, args.seed)]
    faults = soakable()
    first = len(rows)
    if first < args.minutes:
        with (
            tempfile.TemporaryDirectory(prefix='soak_') as out,
            FaultSession(Path(out), args.arms) as session,
        ):
            before = None
            for minute in range(first, args.minutes):
                report, trace = session.soak(faults, args.seed * 100_003 + minute, MINUTE_S)
                whole = joined(before, trace)
                before = trace
                row = {
                    'arms': args.arms,
                    'seed': args.seed,
                    'minute': minute,
                    'pid': session.action_pid,
                    **report,
                }
                row['violations'] = [str(v) for v in limit_violations(whole, session.bounds)]
                row['peaks'] = {k: round(v, 4) for k, v in peaks(whole, session.bounds).items()}
                if session.action_pid is not None:
                    used = usage(session.action_pid)
                    assert used is not None, 'action_node is gone'
                    row |= {'rss_mib': round(used.rss_mib, 2), 'threads': used.threads}
                rows.append(row)
                with args.log.open('a') as log:
                    log.write(json.dumps(row) + '\n')
                print(
                    f'minute {minute + 1}/{args.minutes}: {row["wall_s"]:.1f} s, '
                    f'{sum(row["injected"].values())} faults, '
                    f'{len(row["violations"])} violations, a/amax {row["peaks"]["acceleration"]:.2f}, '
                    f'{row.get("rss_mib", 0)} MiB, {row.get("threads", 0)} threads, {row["last_state"]}',
                    flush=True,
                )
                if row['violations']:
                    print('   ' + '\n   '.join(row['violations'][:5]), flush=True)
                if row['died'] is not None:
                    print(session.tail('action_node'))
                    break
    return summary(rows, args)


def summary(rows: list[dict], args: argparse.Namespace) -> int:
    """Print what the whole soak came to."""
    simulated, wall = (sum(row[key] for row in rows) for key in ('simulated_s', 'wall_s'))
    injected: Counter = sum((Counter(row['injected']) for row in rows), Counter())
    figures = {
        'simulated_s': simulated,
        'wall_s': wall,
        'speed': simulated / wall,
        'faults': sum(injected.values()),
        'kinds': len(injected),
        'engagements': sum(row['engagements'] for row in rows),
        'violations': sum(len(row['violations']) for row in rows),
        'missed_windows': sum(row['missed_windows'] for row in rows),
        'deaths': sum(row['died'] is not None for row in rows),
        'growth': growth(rows),
        'peak_acceleration': max(row['peaks']['acceleration'] for row in rows),
        'rss_mib': [row.get('rss_mib') for row in rows],
        'threads': [row.get('threads') for row in rows],
        'injected': dict(injected.most_common()),
    }
    print({k: v for k, v in figures.items() if k not in ('rss_mib', 'threads', 'injected')})
    if args.json:
        with whole_file(args.json, 'the soak') as beside:
            beside.write_text(json.dumps(figures, indent=1) + '\n')
    grew = [g for g in figures['growth'] if not g.startswith('too short')]
    return 1 if figures['violations'] or figures['deaths'] or grew else 0


if __name__ == '__main__':
    sys.exit(main())
