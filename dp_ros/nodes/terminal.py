# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Keys without waiting, and one status line, where a person sits at a terminal. No ROS here."""

import os
import select
import shutil
import sys
import termios
import time
import tty

_CLEAR = '\r\x1b[2K'
_SHOW_S = 0.1


class Terminal:
    """The terminal of this process, taken over within a ``with`` block and given back as it was.

    Args:
        keyboard: listen to keys. Without it, or where stdin is no terminal, there are none.

    Attributes:
        listens: whether keys can come.
    """

    def __init__(self, keyboard: bool = True):
        self._wanted = keyboard and sys.stdin is not None and sys.stdin.isatty()
        self._shows = sys.stderr.isatty()
        self._shown = 0.0
        self.listens = False

    def __enter__(self) -> 'Terminal':
        if self._wanted:
            self._fd = sys.stdin.fileno()
            self._before = termios.tcgetattr(self._fd)
            # Keys come at once and unseen; Ctrl-C still is a signal.
            tty.setcbreak(self._fd)
            self.listens = True
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()
        if self._wanted:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)
        self.listens = False

    def key(self) -> str:
        """The next key that was pressed, '' where there is none; never waits."""
        if not self.listens or not select.select([self._fd], [], [], 0.0)[0]:
            return ''
        pressed = os.read(self._fd, 1)
        # At the end of the file whoever held the other end is gone.
        self.listens = bool(pressed)
        return pressed.decode(errors='ignore')

    def show(self, line: str) -> None:
        """Replace the status line, some times a second at most; what is too long for the terminal is left out."""
        if self._shows and time.monotonic() - self._shown >= _SHOW_S:
            self._shown = time.monotonic()
            sys.stderr.write(_CLEAR + line[: shutil.get_terminal_size().columns - 1])
            sys.stderr.flush()

    def clear(self) -> None:
        """Take the status line away, so that other text can stand there."""
        if self._shows:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()
