#!/usr/bin/env bash
# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0
#
# Make the environment of dp_ros in the folder $1, or bring it up to date. `make` calls this; see the Makefile for the
# variables PYTHON, NO_APT and ROS_WHEELS. Where a ROS 2 distribution is sourced its own rclpy is used.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly venv=$1
readonly egl_packages=(libegl1 libegl-mesa0 libgl1-mesa-dri libgl1)

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { for line in "$@"; do say "$line"; done; exit 1; }

# Whether $1 runs and is a Python that the package supports.
fits() { "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' >/dev/null 2>&1; }

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        fits "$PYTHON" || fail "PYTHON=$PYTHON is not a Python 3.10, 3.11 or 3.12."
        echo "$PYTHON"
        return
    fi
    for candidate in python3 python3.12 python3.11 python3.10; do
        if fits "$candidate"; then
            echo "$candidate"
            return
        fi
        # rclpy is compiled for the distribution's own python3 and for no other.
        if [ -n "${ROS_DISTRO:-}" ]; then
            fail "ROS $ROS_DISTRO is sourced, and its python3 is not a Python 3.10, 3.11 or 3.12."
        fi
    done
    fail 'no Python 3.10, 3.11 or 3.12 found. Install one, or name it: make PYTHON=/path/to/python3.11 ...'
}

# Install Debian packages where that may be done without asking anybody; otherwise say what to do, and return 1.
apt_install() {
    local sudo=()
    if [ "$(id -u)" != 0 ]; then
        sudo=(sudo -n)
    fi
    if [ -n "${NO_APT:-}" ] || ! command -v apt-get >/dev/null || ! "${sudo[@]}" true 2>/dev/null; then
        return 1
    fi
    say "installing $* by apt-get"
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq >/dev/null \
        && "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -qq -y --no-install-recommends "$@" >/dev/null
}

make_venv() {
    local python options=()
    python=$(find_python)
    if [ -n "${ROS_DISTRO:-}" ]; then
        options=(--system-site-packages)
    fi
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        local version package
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        package="python$version-venv"
        apt_install "$package" || fail \
            "$python cannot make virtual environments. Install the package for it and run make again:" \
            "    sudo apt-get install $package"
    fi
    say "making $venv with $("$python" --version)"
    "$python" -m venv "${options[@]}" "$venv"
    touch "$venv/COLCON_IGNORE"
}

install_packages() {
    local extras=sim,metaworld,pusht,train,export,onnxruntime,openvino,dev constraints=constraints.txt
    if [ -z "${ROS_DISTRO:-}" ]; then
        extras+=",ros-${ROS_WHEELS:-jazzy}"
    fi
    if [ -n "${ROS_DISTRO:-}" ] || [ "${ROS_WHEELS:-jazzy}" != jazzy ]; then
        constraints=$venv/constraints.txt
        grep -v '^ros-' constraints.txt > "$constraints"
    fi
    say "installing Python packages (dp_ros[$extras]); the first time this downloads a few GB and takes minutes"
    "$venv/bin/python" -m pip install -q --disable-pip-version-check -c "$constraints" pip setuptools
    # The environment's own setuptools builds the package: it is pinned, and nothing more has to be fetched.
    "$venv/bin/python" -m pip install -q --disable-pip-version-check --no-build-isolation -c "$constraints" \
        -e ".[$extras]"
}

check_rclpy() {
    "$venv/bin/python" -c 'import rclpy' && return
    if [ -n "${ROS_DISTRO:-}" ]; then
        fail "rclpy of ROS $ROS_DISTRO cannot be imported (error above). Source its setup file, use its own python3" \
            "(make PYTHON=...), or unset ROS_DISTRO to get rclpy as wheels; then remove $venv and run make again."
    fi
    fail 'rclpy was installed but cannot be imported (error above).'
}

# One real picture, drawn as the simulator will draw it.
renders() {
    "$venv/bin/python" - >/dev/null 2>&1 <<'PYTHON'
from dp_ros.simulation.rendering import choose_backend

choose_backend()
import mujoco

model = mujoco.MjModel.from_xml_string('<mujoco><worldbody><geom size="1"/></worldbody></mujoco>')
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 32, 32) as renderer:
    renderer.update_scene(data)
    assert renderer.render().max() > 0
PYTHON
}

check_rendering() {
    renders && return
    apt_install "${egl_packages[@]}" && renders && return
    # Where Mesa finds no EGL device there is still its off-screen library, in distributions that have it.
    apt_install libosmesa6 && renders && return
    if [ -n "${NO_APT:-}" ]; then
        say 'OpenGL without a display does not work, and NO_APT is set: the simulator will not run.' \
            "It needs: ${egl_packages[*]}"
        return
    fi
    fail 'the simulator needs OpenGL without a display, and apt-get may not be used from here. Install it:' \
        "    sudo apt-get install ${egl_packages[*]}" \
        'and run make again. To go on without it (everything but the simulator works):' \
        "    make NO_APT=1 test ARGS='-m \"not slow and not gpu and not sim\"'"
}

[ -x "$venv/bin/python" ] && fits "$venv/bin/python" || make_venv
install_packages
check_rclpy
check_rendering
say 'the environment is ready'
