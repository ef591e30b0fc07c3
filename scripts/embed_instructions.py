#!/usr/bin/env python3
# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Embed the instructions of config/instructions/*.yaml (task to texts) into the .safetensors file beside each.

Needs the extra [language]. Training and robots read the tables, so that they need it for other instructions only.
"""

import sys
from pathlib import Path

from dp_ros.contract.strict_yaml import load_strict_yaml
from dp_ros.policy.goal import Instructions
from dp_ros.policy.sentence_encoder import SentenceEncoder

FOLDER = Path(__file__).resolve().parents[1] / 'config' / 'instructions'


def main() -> int:
    """Write the tables."""
    encoder = SentenceEncoder()
    for path in sorted(FOLDER.glob('*.yaml')):
        texts = tuple(dict.fromkeys(text for several in load_strict_yaml(path).values() for text in several))
        table = Instructions(texts, encoder.encode(texts))
        path.with_suffix('.safetensors').write_bytes(table.to_bytes())
        print(f'{path.name}: {len(texts)} texts')
    return 0


if __name__ == '__main__':
    sys.exit(main())
