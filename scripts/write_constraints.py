#!/usr/bin/env python3
# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Write constraints.txt from pip's own reports, one per supported Python.

Run for each Python that setup.py supports::

    python3.X -m pip install --dry-run --ignore-installed --report X.json \\
        '.[sim,metaworld,pusht,train,export,onnxruntime,openvino,ros-jazzy,dev]'

with ``-c constraints.txt`` to keep what is pinned, without it to move to the newest versions. Then::

    scripts/write_constraints.py 3.10=10.json 3.11=11.json 3.12=12.json > constraints.txt
"""

import json
import re
import sys
from pathlib import Path

HEADER = """\
# Exact versions of everything that the extras sim, metaworld, pusht, train, export, onnxruntime, openvino, ros-jazzy
# and dev install, on Python 3.10 to 3.12.
# Written by scripts/write_constraints.py, which says how. setup.py carries the ranges.
# For the extra ros-kilted leave out the lines that begin with `ros-`: each ROS distribution has its own versions.
"""
# pip does not report what builds the package itself.
BUILD_TOOLS = {'pip': '26.3', 'setuptools': '79.0.1'}


def pins(report: Path) -> dict[str, str]:
    """Normalised project name to version, from one pip report; local version labels (+cpu) are dropped."""
    found = {}
    for item in json.loads(report.read_text())['install']:
        name = re.sub(r'[-_.]+', '-', item['metadata']['name']).lower()
        found[name] = item['metadata']['version'].split('+')[0]
    del found['dp-ros']
    return {**found, **BUILD_TOOLS}


def lines(reports: dict[str, dict[str, str]]) -> list[str]:
    """One line per name, or one per version with a marker where the Pythons differ."""
    out = []
    for name in sorted(set().union(*reports.values())):
        versions = {python: found[name] for python, found in reports.items() if name in found}
        for version in sorted(set(versions.values())):
            pythons = [p for p, v in versions.items() if v == version]
            # A name that some Pythons do not need at all has one version, and needs no marker.
            marker = '' if len(set(versions.values())) == 1 else _marker(pythons, list(versions))
            out.append(f'{name}=={version}{marker}')
    return out


def _marker(pythons: list[str], every: list[str]) -> str:
    if pythons == every[: len(pythons)]:
        return f"; python_version <= '{pythons[-1]}'"
    if pythons == every[-len(pythons) :]:
        return f"; python_version >= '{pythons[0]}'"
    return '; ' + ' or '.join(f"python_version == '{p}'" for p in pythons)


def main() -> None:
    """Read the reports named on the command line and print the file."""
    named = dict(argument.split('=', 1) for argument in sys.argv[1:])
    ordered = sorted(named, key=lambda python: tuple(map(int, python.split('.'))))
    sys.stdout.write(HEADER + '\n'.join(lines({p: pins(Path(named[p])) for p in ordered})) + '\n')


if __name__ == '__main__':
    main()
