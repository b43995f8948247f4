"""Random streams: one seed, many names, no global generator."""

from __future__ import annotations

import hashlib
import random

import torch
from hypothesis import given
from hypothesis import strategies as st

from pathsearch.run.streams import derive, python_stream, torch_stream


def test_derive_golden_values():
    # The first 8 bytes of SHA-256 of "seed/name/…", big-endian, without the lowest bit: saved runs rely on it.
    digest = hashlib.sha256(b"7/module/0/3").digest()
    assert derive(7, "module", 0, 3) == int.from_bytes(digest[:8], "big") // 2
    assert derive(0) == 3456079177858693020  # 5fec eb66 ffc8 6f38 // 2
    assert derive(7, "module", 0, 3) == 496621663637424271


@given(seed=st.integers(), names=st.lists(st.text() | st.integers(), max_size=4))
def test_derived_seeds_suit_every_generator(seed: int, names: list[object]):
    assert 0 <= derive(seed, *names) < 2**63
    assert derive(seed, *names) == derive(seed, *names)
    torch_stream(seed, *names)


def test_streams_differ_by_seed_name_and_number():
    keys = [(seed, name, number) for seed in range(10) for name in ("masks", "batches") for number in range(-1, 20)]
    assert len({derive(*key) for key in keys}) == len(keys)
    first = {torch.rand(1, generator=torch_stream(*key)).item() for key in keys}
    assert len(first) == len(keys)
    assert len({python_stream(*key).random() for key in keys}) == len(keys)


def test_equal_names_give_equal_streams():
    assert torch.equal(
        torch.rand(5, generator=torch_stream(3, "x", 1)), torch.rand(5, generator=torch_stream(3, "x", 1))
    )
    assert [python_stream(3, "x", 1).random() for _ in range(2)] == [python_stream(3, "x", 1).random()] * 2


def test_streams_leave_the_global_generators_alone():
    before, torch_before = random.getstate(), torch.get_rng_state()
    python_stream(0, "a").random()
    torch.rand(3, generator=torch_stream(0, "a"))
    assert random.getstate() == before
    assert torch.equal(torch.get_rng_state(), torch_before)
