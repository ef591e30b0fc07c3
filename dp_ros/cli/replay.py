# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros replay``: what checkpoints would have done on a bag, beside what was done, without ROS."""

import argparse
import platform
import re
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from dp_ros import __version__
from dp_ros.bags.episodes import Span, spans
from dp_ros.bags.reader import Bag, open_bag
from dp_ros.bags.topics import absolute
from dp_ros.cli.replay_live import LiveReplay, replay_live
from dp_ros.contract.binding import Binding
from dp_ros.data.episode_store import EpisodeStore
from dp_ros.errors import ConfigError, MismatchError, StoreError
from dp_ros.evaluation.replay import ReplaySettings, Stretch, check_instructions, replay
from dp_ros.evaluation.replay_analysis import Analysis
from dp_ros.evaluation.replay_baselines import NearestDemonstration
from dp_ros.evaluation.replay_record import ReplayRecord
from dp_ros.evaluation.replay_report import analyses_of, write_replay_report
from dp_ros.evaluation.replay_video import write_replay_video
from dp_ros.observation.limits import ObservationLimits
from dp_ros.policy.checkpoint import load_checkpoint
from dp_ros.policy.controller import Controller
from dp_ros.policy.modes import make_controller
from dp_ros.policy.policy import Policy
from dp_ros.share import share_path

SECOND_NS = 1_000_000_000
MOST_TOLD = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument('bag', type=Path, help='directory of a bag, or one .mcap or .db3 file')
    parser.add_argument(
        '--checkpoint', type=Path, nargs='+', required=True, metavar='DIR', help='one or several'
    )
    parser.add_argument(
        '--binding', type=Path, default=Path('aloha_sim'), help='YAML file, or the name of a shipped one'
    )
    parser.add_argument(
        '--namespace', default='', help='of the topics that have no leading slash in the binding'
    )
    parser.add_argument('--out', type=Path, required=True, help='directory of the report')
    parser.add_argument(
        '--store', type=Path, help='episode store, for the baseline of the nearest demonstration'
    )
    parser.add_argument(
        '--episodes',
        default='auto',
        metavar='HOW',
        help="'marks', 'gaps', 'whole', 'auto' (marks where there are any, else the whole bag), or a YAML list",
    )
    parser.add_argument(
        '--gap', type=float, default=2.0, metavar='S', help='silence that ends an episode, for gaps'
    )
    parser.add_argument(
        '--instruction',
        default='',
        metavar='TEXT',
        help='of episodes for which the bag has none, for a policy that takes instructions',
    )
    parser.add_argument(
        '--start', type=float, default=0.0, metavar='S', help='leave out so much of the beginning'
    )
    parser.add_argument('--duration', type=float, metavar='S', help='replay so much of the bag')
    parser.add_argument(
        '--seed', type=int, default=0, help="of the policy's noise, as policy_node's parameter"
    )
    parser.add_argument(
        '--samples', type=int, default=0, metavar='K', help='more chunks of one observation: spread'
    )
    parser.add_argument('--samples-every', type=int, default=4, metavar='N', help='at each so many ticks')
    parser.add_argument('--no-full', action='store_true', help='no full sampling beside streaming; faster')
    parser.add_argument('--no-video', action='store_true')
    parser.add_argument(
        '--frozen-camera-s', type=float, default=1.0, metavar='S',
        help='refuse a camera that sends the same pixels for so long; 0 for simulated cameras, which have no noise',
    )  # fmt: skip
    parser.add_argument('--device', default='cpu')
    parser.add_argument(
        '--live', action='store_true', help='through the real nodes, as processes, instead of without ROS'
    )
    parser.add_argument('--rate', type=float, default=1.0, help='live: seconds of the bag a second')
    parser.add_argument(
        '--lockstep',
        action='store_true',
        help='live: wait for each chunk; then they are those of the offline replay',
    )


def run(args: argparse.Namespace) -> int:
    """Replay, and write the report; 0: all was well, 1: something was left out or could not be compared."""
    for name, least in (
        ('samples', 0), ('samples_every', 1), ('seed', 0), ('gap', 0.0), ('start', 0.0), ('frozen_camera_s', 0.0),
    ):  # fmt: skip
        if not getattr(args, name) >= least:
            raise ConfigError(
                f'--{name.replace("_", "-")} must be at least {least}, got {getattr(args, name)}'
            )
    titles = _titles(args.checkpoint)
    if args.live:
        _check_live(args)
    binding = Binding.from_yaml(_binding_path(args.binding))
    policies = {
        title: load_checkpoint(path, args.device) for title, path in zip(titles, args.checkpoint, strict=True)
    }
    records: list[ReplayRecord] = []
    left_out = False
    with open_bag(args.bag) as bag:
        settings, episodes = _settings(args, bag, binding)
        origin = _origin(args, bag, binding, episodes)
        for title, path in zip(titles, args.checkpoint, strict=True):
            controller = make_controller(policies[title], args.seed)
            try:
                if args.live:
                    record, clean = _through_the_nodes(args, controller, settings, title, path)
                    left_out |= not clean
                else:
                    record = _replayed(bag, binding, controller, settings, title, path)
            except MismatchError as error:
                # With one checkpoint there is nothing to go on with.
                if len(titles) == 1:
                    raise
                left_out = True
                print(f'dp_ros replay: {title} is left out: {error}', file=sys.stderr)
                continue
            record.provenance |= {**origin, **_provenance(policies[title])}
            record.save(args.out / f'{_file_name(title)}.npz')
            records.append(record)
        problems = list(bag.problems)
    if not records:
        raise MismatchError(f'none of {titles} could be replayed; the reasons stand above')
    page, analyses = _report(args, records)
    for problem in problems:
        print(f'bag {args.bag}: {problem}', file=sys.stderr)
    for record in records:
        for what, counter in (('unreadable', record.unreadable), ('observation refused', record.stale)):
            for why, count in counter.most_common(MOST_TOLD):
                print(f'{record.title}: {what}: {why} ({count} times)', file=sys.stderr)
    _print(analyses)
    print(page)
    # A few observations are refused where an episode begins.
    incomplete = any(not r.ticks or r.unreadable or r.stale.total() > len(r.ticks) for r in records)
    return int(left_out or incomplete or bool(problems))


def _replayed(
    bag: Bag, binding: Binding, controller: Controller, settings: ReplaySettings, title: str, path: Path
) -> ReplayRecord:
    progress = _Progress(title)
    try:
        return replay(
            bag,
            binding,
            controller,
            settings,
            title=title,
            checkpoint=str(path),
            progress=progress.show,
        )
    finally:
        progress.end()


def _check_live(args: argparse.Namespace) -> None:
    """The nodes know less than the offline replay; what they would not do is refused."""
    if args.namespace or args.device != 'cpu':
        raise ConfigError('--live takes no --namespace, and the CPU; see launch/replay.launch.py')
    if args.episodes not in ('auto', 'marks') or args.samples:
        raise ConfigError('--live knows the episodes that record_node marked, and no --samples')


def _through_the_nodes(
    args: argparse.Namespace, controller: Controller, settings: ReplaySettings, title: str, path: Path
) -> tuple[ReplayRecord, bool]:
    """The record of a live replay, and whether every process ended cleanly."""
    check_instructions(controller, settings.stretches)
    asked = LiveReplay(
        bag=args.bag,
        checkpoint=path,
        binding=str(_binding_path(args.binding).resolve()),
        out=args.out / 'live' / _file_name(title),
        title=title,
        seed=args.seed,
        rate=args.rate,
        lockstep=args.lockstep,
        start_s=args.start,
        duration_s=args.duration or 0.0,
        frozen_camera_s=args.frozen_camera_s,
        instruction=args.instruction,
    )
    return replay_live(asked)


def _report(args: argparse.Namespace, records: Sequence[ReplayRecord]) -> tuple[Path, list[Analysis]]:
    nearest = None
    if args.store is not None:
        with EpisodeStore.open(args.store) as store:
            try:
                nearest = NearestDemonstration(store.contract, store, records[0].provenance['bag sha256'])
            except StoreError as error:
                print(f'{args.store}: {error}; that row is left out', file=sys.stderr)
    analyses = analyses_of(records, nearest)
    videos = {}
    for analysis in [] if args.no_video else analyses:
        title = analysis.record.title
        if not any(analysis.record.frames.values()) or not analysis.record.ticks:
            continue
        progress = _Progress(f'{title}, video')
        videos[title] = args.out / f'{_file_name(title)}.mp4'
        write_replay_video(videos[title], analysis, progress.of)
        progress.end()
    return write_replay_report(records, args.out, nearest=nearest, videos=videos), analyses


def _settings(args: argparse.Namespace, bag: Bag, binding: Binding) -> tuple[ReplaySettings, list[Span]]:
    """How to replay, and the episodes that lie within the asked time."""
    start_ns = bag.start_ns + round(args.start * SECOND_NS)
    stop_ns = bag.end_ns + 1
    if args.duration is not None:
        stop_ns = min(stop_ns, start_ns + round(args.duration * SECOND_NS))
    if start_ns >= stop_ns:
        raise ConfigError(
            f'nothing lies within --start and --duration: the bag lasts {(bag.end_ns - bag.start_ns) / 1e9:.3f} s'
        )
    joints = [absolute(s.topic, args.namespace) for s in binding.joint_states]
    found = spans(bag, args.episodes, [t for t in joints if t in bag.topics], round(args.gap * SECOND_NS))
    chosen = [
        replace(s, start_ns=max(s.start_ns, start_ns), stop_ns=min(s.stop_ns, stop_ns))
        for s in found
        if s.start_ns < stop_ns and s.stop_ns > start_ns
    ]
    if not chosen:
        raise ConfigError(
            f'no episode of {args.bag} lies within --start and --duration; --episodes {args.episodes}'
        )
    settings = ReplaySettings(
        namespace=args.namespace,
        seed=args.seed,
        full_sampling=not args.no_full,
        samples=args.samples,
        samples_every=args.samples_every,
        limits=ObservationLimits(frozen_camera_ns=round(args.frozen_camera_s * SECOND_NS)),
        start_ns=start_ns,
        stop_ns=stop_ns,
        stretches=[Stretch(s.start_ns, s.stop_ns, s.instruction or args.instruction) for s in chosen],
    )
    return settings, chosen


def _origin(args: argparse.Namespace, bag: Bag, binding: Binding, chosen: Sequence[Span]) -> dict[str, str]:
    episodes = '; '.join(
        f'{i}: {(s.start_ns - bag.start_ns) / 1e9:.1f} to {(s.stop_ns - bag.start_ns) / 1e9:.1f} s, {s.outcome}'
        + (f', {s.instruction!r}' if s.instruction else '')
        for i, s in enumerate(chosen[:20])
    )
    more = len(chosen) - 20
    return {
        'command': 'dp_ros ' + ' '.join(shlex.quote(word) for word in sys.argv[1:]),
        'bag sha256': bag.sha256(),
        'bag format': ', '.join(text for text in (bag.storage, bag.compression, bag.distribution) if text),
        'episodes': episodes + (f' and {more} more' if more > 0 else ''),
        'binding': f'{args.binding} ({binding.name})',
        'seed': str(args.seed),
    }


def _provenance(policy: Policy) -> dict[str, str]:
    return {
        'contract': f'{policy.contract.name}, {policy.contract.hash[:16]}',
        'dp_ros': __version__,
        'torch': f'{torch.__version__} on {policy.device}, {torch.get_num_threads()} threads',
        'machine': f'{platform.machine()}, {platform.system()}, Python {platform.python_version()}',
    }


def _binding_path(asked: Path) -> Path:
    if asked.suffix or len(asked.parts) > 1:
        return asked
    return Path(share_path('config', 'bindings', f'{asked}.yaml'))


def _titles(checkpoints: Sequence[Path]) -> list[str]:
    """The directories' names, or as much of the paths as tells them apart."""
    paths = [path.resolve() for path in checkpoints]
    if len(set(paths)) != len(paths):
        raise ConfigError(f'--checkpoint: a directory stands twice in {[str(p) for p in checkpoints]}')
    for length in range(1, max(len(p.parts) for p in paths) + 1):
        titles = ['/'.join(path.parts[-length:]) for path in paths]
        if len(set(titles)) == len(titles):
            break
    return titles


def _file_name(title: str) -> str:
    return re.sub(r'[^\w.-]+', '_', title)


def _print(analyses: Sequence[Analysis]) -> None:
    """The first table of the report, for a terminal."""
    print(f'{"model":28s} {"prediction":22s} {"std, executed":>14s} {"std, chunk":>11s}')
    for analysis in analyses:
        for row in analysis.rows:
            figures = f'{row.executed.overall:14.3f} {row.whole.overall:11.3f}'
            print(f'{analysis.record.title[:28]:28s} {row.name:22s} {figures}')
    for analysis in analyses:
        record = analysis.record
        counts = (sum(c.values()) for c in (record.skipped, record.stale, record.unreadable))
        skipped, stale, unreadable = counts
        print(
            f'{record.title}: {analysis.verdict[1]}; {len(record.ticks)} ticks, {skipped} skipped, '
            f'{stale} observations refused, {unreadable} messages unreadable'
        )


class _Progress:
    """One line at the terminal, at most twice a second; silent where nobody looks."""

    def __init__(self, what: str):
        self._what, self._began, self._shown = what, time.monotonic(), 0.0

    def show(self, share: float, count: int) -> None:
        now = time.monotonic()
        if not sys.stderr.isatty() or now - self._shown < 0.5:
            return
        self._shown = now
        took = now - self._began
        left = f'{took * (1 - share) / share:.0f} s left' if share > 0.01 and took > 1 else ''
        print(
            f'\r{self._what}: {100 * share:5.1f} %, {count} done, {left}\033[K',
            end='',
            file=sys.stderr,
            flush=True,
        )

    def of(self, done: int, total: int) -> None:
        self.show(done / total, done)

    def end(self) -> None:
        if self._shown:
            print('\r\033[K', end='', file=sys.stderr, flush=True)
