# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A run record as a video: the camera on the left, what the policy predicts for every joint beside it."""

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dp_ros.errors import ConfigError, StoreError
from dp_ros.evaluation.panels import INK, PANEL_HEIGHT, SOFT, JointPanels, text
from dp_ros.evaluation.record import EpisodeRecord, RunRecord
from dp_ros.whole_file import whole_file

WIDTH, HEIGHT = 1280, 720
CAMERA_WIDTH = 640
# The last picture of an episode stays, so that its result can be read.
HOLD_S = 1.2
GOOD, BAD = (30, 145, 80), (190, 40, 30)

Image = NDArray[np.uint8]


def write_video(path: Path, record: RunRecord, progress: Callable[[int, int], None] | None = None) -> None:
    """Write all episodes that have frames into one mp4 (H.264, yuv420p), at the robot's own speed.

    Args:
        path: the .mp4 file; written whole or not at all.
        record: the run.
        progress: called with (frames written, frames in all).

    Raises:
        StoreError: no episode has frames, or the file cannot be written.
        ConfigError: the extra ``sim``, which brings ffmpeg, is not installed.
    """
    path = Path(path)
    episodes = [e for e in record.episodes if e.frames]
    if not episodes:
        raise StoreError(f'{path}: no episode of the run has camera frames')
    rate = frame_rate(episodes)
    hold = round(HOLD_S * rate)
    total = sum(len(e.frames) + hold for e in episodes)
    with whole_file(path, 'the video') as beside:
        writer = open_video(beside, rate)
        try:
            for done, image in enumerate(frames(record, hold), start=1):
                writer.send(np.ascontiguousarray(image))
                if progress is not None:
                    progress(done, total)
        finally:
            writer.close()


def frame_rate(episodes: list[EpisodeRecord]) -> float:
    """Frames per second at which the recorded frames pass in the robot's time; 25 where that is not known."""
    gaps = np.concatenate([np.diff([f.stamp_ns for f in e.frames]) for e in episodes])
    middle = float(np.median(gaps)) if gaps.size else 0.0
    return 1e9 / middle if middle > 0 else 25.0


def frames(record: RunRecord, hold: int = 0) -> Iterator[Image]:
    """Pictures (HEIGHT, WIDTH, 3) uint8 RGB of every episode, the last one of each repeated ``hold`` times.

    One array is drawn over and over: copy a picture to keep it.
    """
    with_frames = [e for e in record.episodes if e.frames]
    for number, episode in enumerate(with_frames, start=1):
        panels = JointPanels(record, episode, WIDTH - CAMERA_WIDTH, HEIGHT)
        where = f'episode {number}/{len(with_frames)}'
        image = np.empty((HEIGHT, WIDTH, 3), np.uint8)
        for frame in episode.frames:
            image.fill(255)
            draw_camera(image, frame.decode())
            _caption(image, record, episode, where, frame.stamp_ns)
            panels.draw(image[:, CAMERA_WIDTH:], frame.stamp_ns)
            yield image
        _result(image, episode)
        for _ in range(hold):
            yield image


def open_video(
    path: Path, rate: float, size: tuple[int, int] = (WIDTH, HEIGHT)
) -> Generator[None, Any, None]:
    """Takes pictures of ``size`` (width, height) in uint8 RGB by ``send``; ConfigError without ffmpeg."""
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise ConfigError('videos need ffmpeg: install dp_ros with the extra `sim`') from error
    writer = imageio_ffmpeg.write_frames(
        str(path),
        size,
        fps=rate,
        codec='libx264',
        pix_fmt_out='yuv420p',
        quality=None,
        output_params=['-crf', '23', '-preset', 'veryfast', '-movflags', '+faststart', '-f', 'mp4'],
    )
    writer.send(None)
    return writer


def draw_camera(image: Image, picture: Image) -> None:
    """Fit a camera's picture into the left half."""
    height, width = picture.shape[:2]
    scale = min(CAMERA_WIDTH / width, (HEIGHT - 2 * PANEL_HEIGHT) / height)
    size = (round(width * scale), round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    left, top = (CAMERA_WIDTH - size[0]) // 2, PANEL_HEIGHT
    image[top : top + size[1], left : left + size[0]] = cv2.resize(picture, size, interpolation=how)


def _caption(image: Image, record: RunRecord, episode: EpisodeRecord, where: str, stamp_ns: int) -> None:
    start = int(episode.times_ns[0]) if len(episode.times_ns) else episode.frames[0].stamp_ns
    state = next((words for stamp, words in reversed(episode.states) if stamp <= stamp_ns), '')
    text(image, record.title, (16, 34), 0.62, INK, 2, CAMERA_WIDTH - 32)
    text(image, f'{where}, seed {episode.seed}', (16, 62), 0.5, SOFT)
    text(image, f'camera {record.camera}' if record.camera else '', (16, 84), 0.5, SOFT)
    middle = CAMERA_WIDTH // 2
    text(image, f't = {(stamp_ns - start) / 1e9:5.2f} s', (middle, 62), 0.5, INK)
    text(image, state, (middle, 84), 0.5, INK, 1, middle - 16)


def _result(image: Image, episode: EpisodeRecord) -> None:
    words, colour = ('SUCCESS', GOOD) if episode.success else ('FAILED', BAD)
    detail = f'best reward {episode.max_reward:g}'
    if episode.strict_success:
        detail += ', strict success too'
    top = HEIGHT - PANEL_HEIGHT
    text(image, words, (16, top + 44), 1.1, colour, 3)
    text(image, detail, (16, top + 76), 0.55, INK)
