# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Whether two stores give training the same windows, bit for bit: python bench/store_parity.py STORE STORE."""

import argparse
import sys
from pathlib import Path

import torch

from dp_ros.data.demonstrations import Demonstrations
from dp_ros.data.episode_store import EpisodeStore

BATCH = 64


def main() -> int:
    """Print what differs; 0 if nothing does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('stores', type=Path, nargs=2)
    stores = [EpisodeStore.open(path) for path in parser.parse_args().stores]
    hashes = [store.contract.hash for store in stores]
    first, second = (Demonstrations(store.contract, list(store), hold_after_end=True) for store in stores)
    if len({*hashes}) > 1 or first.lengths != second.lengths:
        print(f'contracts {hashes}, {len(first)} and {len(second)} anchors: not the same episodes')
        return 1
    differing: dict[str, int] = {}
    for start in range(0, len(first), BATCH):
        index_B = torch.arange(start, min(start + BATCH, len(first)))
        a, b = first.windows(index_B), second.windows(index_B)
        pairs = {
            'proprio': (a.proprio, b.proprio),
            'actions': (a.actions, b.actions),
            'valid': (a.valid, b.valid),
        }
        pairs |= {f'images.{name}': (image, b.images[name]) for name, image in a.images.items()}
        pairs |= {f'vectors.{name}': (values, b.vectors[name]) for name, values in a.vectors.items()}
        for name, (x, y) in pairs.items():
            differing[name] = differing.get(name, 0) + int((x != y).flatten(1).any(dim=1).sum())
    print(f'{len(first.lengths)} episodes, {len(first)} windows; windows that differ: {differing}')
    return int(any(differing.values()))


if __name__ == '__main__':
    sys.exit(main())
