#!/usr/bin/env bash
# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0
#
# Make the environment in which `dp_ros bench peers` times LeRobot's policies, in the folder $1 (default: .venv-peers in
# the repository). PYTHON names the interpreter; torch gets the version of constraints.txt, so that both sides compute
# with the same one. Nothing of it is needed, or seen, by dp_ros itself.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly venv=${1:-.venv-peers}
readonly python=${PYTHON:-python3}
pip() { "$venv/bin/python" -m pip install -q --disable-pip-version-check "$@"; }

"$python" -m venv "$venv"
touch "$venv/COLCON_IGNORE"
pip "$(grep '^torch==' constraints.txt)"
# LeRobot 0.4.4 is the last that runs on Python 3.10 and 3.11. It asks for an older torch and for robots, cameras and
# viewers that its policies do not use; what they import is named here.
pip --no-deps lerobot==0.4.4 torchvision==0.28.0
pip 'accelerate>=1.10,<2' 'av<16' 'datasets>=4,<5' 'deepdiff<9' 'diffusers<0.36' draccus==0.10.0 einops gymnasium \
    'huggingface-hub<0.36' 'imageio>=2.34,<3' jsonlines numpy 'opencv-python-headless<4.13' 'packaging<26' pyserial \
    safetensors 'setuptools<81' 'termcolor<4'
task='{"kind": "act", "cameras": 1, "size": [64, 64], "joints": 2, "threads": 1}'
echo 1 | "$venv/bin/python" bench/peers/lerobot_worker.py "$task" >/dev/null \
    || { echo "peers: LeRobot's ACT does not run in $venv (error above)" >&2; exit 1; }
echo "peers: $venv is ready" >&2
