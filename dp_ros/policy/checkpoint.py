# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Checkpoints: a directory that describes itself, loads strictly, and tests itself.

    contract.json            what the policy promises
    config.json              network sizes, noise range, default control, provenance (the resolved experiment)
    model.safetensors        EMA weights, float16
    normalizer.safetensors   means and standard deviations, float64
    golden.safetensors       one observation, its noise, the expected actions; a goal of each kind that the policy takes
    instructions.safetensors the embeddings of known instructions; only where the policy takes instructions
    manifest.json            SHA-256 of every file above
    README.md                the model card; for people, who may add to it

No pickle, no import paths, no network access.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from dp_ros.contract import Contract
from dp_ros.diffusion.rolling_buffer import RollingBuffer
from dp_ros.errors import CheckpointError, DpRosError
from dp_ros.model.goals import IMAGE, INSTRUCTION, GoalBatch
from dp_ros.policy.commanded_past import PastActions
from dp_ros.policy.config import PolicyConfig
from dp_ros.policy.goal import Instructions
from dp_ros.policy.normalizer import Normalizer
from dp_ros.policy.policy import Policy, build_network
from dp_ros.whole_file import whole_folder

FILES = (
    'contract.json',
    'config.json',
    'model.safetensors',
    'normalizer.safetensors',
    'golden.safetensors',
)
INSTRUCTIONS = 'instructions.safetensors'
CARD = 'README.md'
# Standardised units. Kernels of other machines round differently; a wrong weight or a swapped joint is far beyond.
GOLDEN_TOLERANCE = 2e-3


def save_checkpoint(
    directory: Path,
    policy: Policy,
    golden_observation: dict[str, Tensor],
    card: str,
) -> None:
    """Write a checkpoint beside its place and rename it in; an older one there is replaced only at the end.

    Args:
        directory: the checkpoint's directory.
        policy: its weights are stored as float16, and the golden sample is made with the rounded weights.
        golden_observation: of one real observation, see :func:`observation_tensors`; with 'goal.instruction' (an
            embedding) and 'goal.image' (H, W, 3) where the policy takes them, and with 'past.actions' (H, A) and
            'past.valid' (H,) where it has past tokens.
        card: Markdown of the model card.

    Raises:
        CheckpointError: the directory cannot be written.
    """
    directory = Path(directory)
    weights = {
        k: v.detach().to('cpu', torch.float16).contiguous() for k, v in policy.network.state_dict().items()
    }
    rounded = build_network(policy.contract, policy.config)
    rounded.load_state_dict({k: v.float() for k, v in weights.items()})
    shipped = replace(policy, network=rounded.eval(), device=torch.device('cpu'))
    golden = dict(golden_observation)
    golden['noise'] = torch.randn(
        1, rounded.num_tokens, rounded.token_dim, generator=torch.Generator().manual_seed(0)
    )
    golden['expected'] = golden_tokens(shipped, golden)
    blobs = {
        'contract.json': policy.contract.to_json().encode(),
        'config.json': (json.dumps(policy.config.to_dict(), indent=2) + '\n').encode(),
        'model.safetensors': save_tensors(weights),
        'normalizer.safetensors': save_tensors(
            {
                f'{field}.{key}': getattr(
                    normalizer, key
                ).clone()  # tensors of one file must not share memory
                for field, normalizer in _normalizers(policy).items()
                for key in ('mean', 'std')
            }
        ),
        'golden.safetensors': save_tensors({k: v.clone() for k, v in golden.items()}),
    }
    if 'instruction' in policy.contract.goals:
        blobs[INSTRUCTIONS] = policy.instructions.to_bytes()
    _write(directory, blobs, card.encode())


def replace_config(directory: Path, config: PolicyConfig) -> None:
    """Store another control or provenance in a checkpoint; all other files stay byte for byte.

    Raises:
        CheckpointError: it is damaged or cannot be written, or the configuration is of another network.
    """
    directory = Path(directory)
    blobs, _ = _read_verified(directory)
    old = PolicyConfig.from_dict(_json(blobs, 'config.json', directory), str(directory / 'config.json'))
    if replace(old, control=config.control, provenance=config.provenance) != config:
        raise CheckpointError(f'{directory}: only control and provenance may be replaced')
    blobs['config.json'] = (json.dumps(config.to_dict(), indent=2) + '\n').encode()
    _write(directory, blobs, (directory / CARD).read_bytes())


def load_checkpoint(directory: Path | str, device: str = 'cpu') -> Policy:
    """Load a checkpoint and replay its golden sample: integrity check, self-test and warm-up in one.

    Raises:
        CheckpointError: a file is missing or damaged, a weight does not fit, or the golden sample is not met.
        ContractError, ConfigError: contract.json or config.json hold something illegal.
    """
    directory = Path(directory)
    blobs, digests = _read_verified(directory)
    contract = Contract.from_dict(_json(blobs, 'contract.json', directory), str(directory / 'contract.json'))
    config = PolicyConfig.from_dict(_json(blobs, 'config.json', directory), str(directory / 'config.json'))
    tensors = {name: _tensors(blobs, name, directory) for name in FILES if name.endswith('.safetensors')}
    try:
        target = torch.device(device)
        if target.type == 'cuda' and not torch.cuda.is_available():
            raise CheckpointError(
                f'device {device!r} was asked for, but this machine has no usable CUDA device'
            )
    except RuntimeError as error:
        raise CheckpointError(f'device {device!r} is not a torch device: {error}') from error
    network = build_network(contract, config)
    weights = {k: v.float() for k, v in tensors['model.safetensors'].items()}
    _check_weights(network.state_dict(), weights, directory / 'model.safetensors')
    network.load_state_dict(weights, strict=True)
    proprio, action = (
        _normalizer(tensors['normalizer.safetensors'], f, directory) for f in ('proprio', 'action')
    )
    vectors = {
        v.name: _normalizer(tensors['normalizer.safetensors'], f'vectors.{v.name}', directory)
        for v in contract.vectors
    }
    instructions = _instructions(blobs, directory)
    policy = Policy(
        contract,
        config,
        network.eval().to(target),
        proprio,
        action,
        target,
        vectors,
        instructions,
        digests,
    )
    deviation = golden_error(policy, tensors['golden.safetensors'])
    if not deviation <= GOLDEN_TOLERANCE:
        raise CheckpointError(
            f'{directory}: the golden sample is off by {deviation:.3g} standardised units '
            f'(tolerance {GOLDEN_TOLERANCE}); this build computes something else than the one that trained it'
        )
    return policy


def read_golden(directory: Path | str) -> dict[str, Tensor]:
    """The golden sample of a checkpoint.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    directory = Path(directory)
    blobs, _ = _read_verified(directory)
    return _tensors(blobs, 'golden.safetensors', directory)


def observation_tensors(
    proprio: Any, images: Mapping[str, Any], vectors: Mapping[str, Any]
) -> dict[str, Tensor]:
    """One observation as a checkpoint names it: 'proprio' (To, S), 'images.NAME' (To, H, W, 3), 'vectors.NAME'."""
    named = {'proprio': proprio} | {f'images.{name}': image for name, image in images.items()}
    named |= {f'vectors.{name}': values for name, values in vectors.items()}
    return {name: torch.as_tensor(value) for name, value in named.items()}


def golden_tokens(policy: Policy, golden: dict[str, Tensor]) -> Tensor:
    """Denoised action tokens of the golden observation, whose buffer holds the pose under the stored noise.

    (1, T, P); for a policy with goals a row for each kind in the contract's order.
    """
    images = {c.name: golden[f'images.{c.name}'].numpy() for c in policy.contract.cameras}
    vectors = {v.name: golden[f'vectors.{v.name}'].numpy() for v in policy.contract.vectors}
    proprio = golden['proprio'].numpy()
    with torch.inference_mode():
        blank = RollingBuffer(policy.hold_tokens(proprio), policy.levels)
        sigma_BT = policy.levels.sigma(blank.level_BT)
        x_BTP = blank.x_BTP + sigma_BT[..., None] * golden['noise'].to(policy.device)
        context = policy.encode(
            proprio, images, vectors, golden_goals(policy, golden), golden_past(policy, golden)
        )
        rows = len(context.summary_BD)
        return policy.denoise(context)(x_BTP.repeat(rows, 1, 1), sigma_BT.repeat(rows, 1)).cpu()


def golden_past(policy: Policy, golden: dict[str, Tensor]) -> PastActions | None:
    """What was commanded before the golden observation; None where nothing was, or the policy does not look at it."""
    if not policy.config.network.past_tokens or 'past.actions' not in golden:
        return None
    return golden['past.actions'].numpy(), golden['past.valid'].numpy()


def golden_goals(policy: Policy, golden: dict[str, Tensor]) -> Tensor | None:
    """The golden goals encoded, one row for each kind in the contract's order; None for a policy without goals."""
    encoder, device = policy.network.goals, policy.device
    if encoder is None:
        return None
    batches = {
        'instruction': lambda value: GoalBatch(torch.tensor([INSTRUCTION], device=device), text_BG=value),
        'image': lambda value: GoalBatch(torch.tensor([IMAGE], device=device), image_BHWC=value),
    }
    values = {kind: golden[f'goal.{kind}'][None].to(device) for kind in encoder.kinds}
    return torch.cat([encoder(batches[kind](value)) for kind, value in values.items()])


def golden_error(policy: Policy, golden: dict[str, Tensor]) -> float:
    """Largest absolute difference from the expected tokens, in standardised units; infinite if not computable."""
    try:
        return float((golden_tokens(policy, golden) - golden['expected']).abs().max().nan_to_num(torch.inf))
    except (KeyError, RuntimeError, DpRosError) as error:
        raise CheckpointError(f'golden.safetensors does not fit the contract: {error}') from error


def _check_weights(wanted: dict[str, Tensor], got: dict[str, Tensor], where: Path) -> None:
    problems = [f'missing {k}' for k in sorted(set(wanted) - set(got))]
    problems += [f'unknown {k}' for k in sorted(set(got) - set(wanted))]
    problems += [
        f'{k}: expected {tuple(wanted[k].shape)}, got {tuple(got[k].shape)}'
        for k in sorted(set(wanted) & set(got))
        if wanted[k].shape != got[k].shape
    ]
    problems += [f'{k}: not finite' for k in sorted(got) if not bool(got[k].isfinite().all())]
    if problems:
        raise CheckpointError(f'{where}: weights do not fit the network: ' + '; '.join(problems))


def _read_verified(directory: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    """Every file of a checkpoint by name, and its SHA-256, which is the manifest's."""
    if not directory.is_dir():
        raise CheckpointError(
            f'{directory}: no such checkpoint directory; it should hold {FILES}, manifest.json and {CARD}'
        )
    missing = [name for name in (*FILES, 'manifest.json', CARD) if not (directory / name).is_file()]
    if missing:
        raise CheckpointError(f'{directory}: checkpoint lacks {missing}')
    try:
        manifest = dict(json.loads((directory / 'manifest.json').read_text()))
        names = (*FILES, INSTRUCTIONS) if INSTRUCTIONS in manifest else FILES
        blobs = {name: (directory / name).read_bytes() for name in names}
    except (OSError, ValueError) as error:
        raise CheckpointError(f'{directory}: cannot read the checkpoint: {error}') from error
    digests = {name: _digest(blob) for name, blob in blobs.items()}
    wrong = [n for n in names if digests[n] != manifest.get(n)]
    if wrong:
        raise CheckpointError(
            f'{directory}: SHA-256 differs from manifest.json for {wrong}: the files were damaged or edited'
        )
    return blobs, digests


def _json(blobs: dict[str, bytes], name: str, directory: Path) -> object:
    try:
        return json.loads(blobs[name])
    except ValueError as error:
        raise CheckpointError(f'{directory}/{name}: not valid JSON: {error}') from error


def _tensors(blobs: dict[str, bytes], name: str, directory: Path) -> dict[str, Tensor]:
    try:
        return load_tensors(blobs[name])
    except SafetensorError as error:
        raise CheckpointError(f'{directory}/{name}: not a safetensors file: {error}') from error


def _normalizers(policy: Policy) -> dict[str, Normalizer]:
    named = {f'vectors.{name}': normalizer for name, normalizer in policy.vectors.items()}
    return {'proprio': policy.proprio, 'action': policy.action, **named}


def _instructions(blobs: dict[str, bytes], directory: Path) -> Instructions:
    if INSTRUCTIONS not in blobs:
        return Instructions()
    try:
        return Instructions.from_bytes(blobs[INSTRUCTIONS])
    except (SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(f'{directory}/{INSTRUCTIONS}: not a table of instructions: {error}') from error


def _normalizer(stats: dict[str, Tensor], field: str, directory: Path) -> Normalizer:
    try:
        return Normalizer(stats[f'{field}.mean'], stats[f'{field}.std'])
    except KeyError as error:
        raise CheckpointError(f'{directory}/normalizer.safetensors: no tensor {error}') from error


def _write(directory: Path, blobs: dict[str, bytes], card: bytes) -> None:
    """All files, with their manifest; the card is for people and has no hash."""
    manifest = json.dumps({name: _digest(blob) for name, blob in blobs.items()}, indent=2) + '\n'
    with whole_folder(directory, 'the checkpoint', CheckpointError) as beside:
        for name, blob in {**blobs, CARD: card, 'manifest.json': manifest.encode()}.items():
            (beside / name).write_bytes(blob)


def _digest(blob: bytes) -> str:
    return hashlib.sha256(blob).hexdigest()
