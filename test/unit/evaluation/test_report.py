# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The report says what the record holds, stands alone, and never lets data become markup."""

from html.parser import HTMLParser

import pytest
from synthetic_record import TITLE, synthetic_run

from dp_ros.errors import StoreError
from dp_ros.evaluation.report import MAX_CHUNKS, MAX_DETAILED, detailed_episodes, render_report, write_report

VOID = {'meta', 'link', 'img', 'br'}


class Page(HTMLParser):
    """Checks that tags nest, and keeps the attributes and the text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.attributes, self.words = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.attributes += [(tag, key, value) for key, value in attrs]

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(tag, key, value) for key, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data.split()

    @property
    def text(self):
        return ' '.join(self.words)


def test_the_figures_of_the_record_stand_in_the_report():
    text = Page(render_report(synthetic_run((True, True, False)))).text
    assert text.count(TITLE) == 2
    assert 'success 2 / 3 66.7 %, 95 % interval 20.8 to 93.9 % (Wilson)' in text
    assert 'strict success 1 / 3' in text
    assert 'asked for 80 % not reached' in text
    assert 'lockstep time-outs 0' in text
    assert 'SYNC at 0.00 s , RUN at 0.02 s , IDLE at 1.98 s' in text
    for stage in ('encode', 'network', 'total'):
        assert f'{stage} ' in text


def test_a_reached_target_says_so_and_none_says_nothing():
    run = synthetic_run((True,))
    assert '80 % reached' in Page(render_report(run)).text
    run.success_target = None
    assert 'asked for' not in Page(render_report(run)).text


def test_every_joint_has_a_plot_and_a_fan_of_chunks():
    run = synthetic_run((True,))
    svgs = render_report(run).split('<svg')[1:]
    assert len(svgs) == 2 * len(run.joint_names)
    chunks = len(run.episodes[0].chunks)
    assert [svg.count('class="chunk"') for svg in svgs] == [0] * 14 + [chunks] * 14


def test_many_chunks_are_thinned_and_the_page_says_so():
    run = synthetic_run((True,), steps=8 * 3 * MAX_CHUNKS)
    page = render_report(run)
    assert f'one in 3 of {3 * MAX_CHUNKS}' in page
    assert page.count('class="chunk"') == 14 * MAX_CHUNKS


def test_long_runs_show_failures_first():
    run = synthetic_run((True,) * 20 + (False,), steps=9)
    assert detailed_episodes(run.episodes) == [20, *range(MAX_DETAILED - 1)]
    text = Page(render_report(run)).text
    assert f'Plots of {MAX_DETAILED} of 21 episodes' in text


def test_the_page_needs_nothing_beside_it():
    page = Page(render_report(synthetic_run(), 'rollout.mp4'))
    links = [(tag, value) for tag, key, value in page.attributes if key in ('src', 'href', 'srcset', 'data')]
    assert links == [('a', 'rollout.mp4')]
    assert not [tag for tag, _, _ in page.attributes if tag in ('script', 'link', 'iframe')]


def test_data_never_becomes_markup():
    run = synthetic_run((True,), steps=9)
    evil = '<script>alert(1)</script>"\''
    run.title, run.provenance, run.counters = evil, {evil: evil}, {evil: 1}
    run.joint_names = (evil, *run.joint_names[1:])
    run.episodes[0].states = [(run.episodes[0].times_ns[0], evil)]
    assert '<script' not in render_report(run)


def test_a_run_without_anything_still_makes_a_page():
    run = synthetic_run((), steps=9)
    run.counters, run.provenance = {}, {}
    text = Page(render_report(run)).text
    assert 'success 0 / 0' in text
    assert text.count('Not recorded.') == 2


def test_it_is_written_whole_or_not_at_all(tmp_path):
    write_report(tmp_path / 'a' / 'report.html', synthetic_run((True,), steps=9))
    assert [p.name for p in (tmp_path / 'a').iterdir()] == ['report.html']
    (tmp_path / 'file').write_text('')
    with pytest.raises(StoreError, match='cannot write the report'):
        write_report(tmp_path / 'file' / 'report.html', synthetic_run((True,), steps=9))
