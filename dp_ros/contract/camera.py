# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A camera as the policy sees it: which pixels of which image."""

from dataclasses import dataclass

from dp_ros.errors import ContractError


@dataclass(frozen=True, kw_only=True)
class Camera:
    """One RGB camera field.

    Attributes:
        name: name of the field; the binding says which topic carries it.
        source_size: (height, width) in pixels of the images that the camera publishes.
        crop: (top, left, height, width) in source pixels; what the policy looks at.
        size: (height, width) in pixels after area resampling of the crop; the network's input.
    """

    name: str
    source_size: tuple[int, int]
    crop: tuple[int, int, int, int]
    size: tuple[int, int]

    def __post_init__(self) -> None:
        for key, length in (('source_size', 2), ('crop', 4), ('size', 2)):
            value = tuple(getattr(self, key))
            object.__setattr__(self, key, value)
            if len(value) != length or not all(isinstance(v, int) and v >= 0 for v in value):
                raise ContractError(
                    f'camera {self.name!r}: {key} must be {length} non-negative integers, got {value!r}'
                )
        top, left, height, width = self.crop
        if not (height and width and all(self.size) and all(self.source_size)):
            raise ContractError(f'camera {self.name!r}: sizes must be positive, got {self}')
        if top + height > self.source_size[0] or left + width > self.source_size[1]:
            raise ContractError(
                f'camera {self.name!r}: crop {self.crop} leaves the source image {self.source_size}'
            )
