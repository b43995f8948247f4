"""Routing: closed form, one task at a time, unknown where no task claims an image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from scipy.spatial.distance import cdist, mahalanobis
from sklearn.covariance import OAS
from small_world import data_dir, encoder, finished, refused, task
from torch.utils._python_dispatch import TorchDispatchMode

from pathsearch.features import encode
from pathsearch.router import FALSE_REJECTION, UNKNOWN, Router, Territory

WIDTH = 5


def cloud(centre: float, n: int = 200, seed: int = 0, n_classes: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of one task: classes one apart, correlated, of unequal spreads."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    mix = rng.normal(size=(WIDTH, WIDTH)) * np.geomspace(0.2, 2, WIDTH)
    x = centre + labels[:, None] + rng.normal(size=(n, WIDTH)) @ mix
    return torch.from_numpy(x).float(), torch.from_numpy(labels)


class Largest(TorchDispatchMode):
    """Bytes of the largest tensor that an operation made."""

    def __enter__(self):
        self.bytes = 0
        return super().__enter__()

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        found = function(*arguments, **(options or {}))
        for one in found if isinstance(found, (list, tuple)) else [found]:
            if isinstance(one, torch.Tensor):
                self.bytes = max(self.bytes, one.numel() * one.element_size())
        return found


def territory(centre: float, seed: int = 0) -> Territory:
    x, labels = cloud(centre, seed=seed)
    return Territory.fit(x[:150], labels[:150], x[150:])


@pytest.fixture(scope="module")
def router() -> Router:
    return Router({"a": territory(0, 1), "b": territory(30, 2), "c": territory(-40, 3)})


# --- one territory -------------------------------------------------------------------------------------------------


def test_distance_and_density_are_mahalanobis():
    x, labels = cloud(3)
    fitted = Territory.fit(x[:150], labels[:150], x[150:])
    # by scipy and scikit-learn: class means, OAS-shrunk covariance of the residuals in units of their spread
    points, classes = x[:150].double().numpy(), labels[:150].numpy()
    means = np.stack([points[classes == k].mean(0) for k in (0, 1)])
    residuals = np.concatenate([points[classes == k] - means[k] for k in (0, 1)])
    scale = residuals.std(0, ddof=1)
    covariance = np.outer(scale, scale) * OAS(assume_centered=True).fit(residuals / scale).covariance_
    inverse = np.linalg.inv(covariance)
    expected = [min(mahalanobis(one, mean, inverse) ** 2 for mean in means) for one in x[150:].double().numpy()]
    np.testing.assert_allclose(fitted.distance(x[150:]).numpy(), expected, rtol=1e-8)
    log_det = np.linalg.slogdet(covariance)[1]
    np.testing.assert_allclose(
        fitted.log_density(fitted.distance(x[150:])), [-0.5 * (d + log_det) for d in expected], rtol=1e-8
    )


def test_distance_golden_value():
    # one dead direction aside: mean 0, whitening diag(1, 2): (3, 2) is at 3² + (2·2)² = 25 of the nearer mean
    flat = Territory(torch.tensor([[0.0, 0], [90, 90]]).double(), torch.diag(torch.tensor([1.0, 2]).double()), 0.0, 1.0)
    assert flat.distance(torch.tensor([[3.0, 2.0]])).tolist() == [25.0]
    assert flat.log_density(flat.distance(torch.tensor([[3.0, 2.0]]))).tolist() == [-12.5]


def planted(n: int, n_classes: int, width: int, offset: float = 0.0) -> tuple[Territory, torch.Tensor]:
    """A territory of classes anywhere, and n images beside it; with an offset, far from the origin."""
    stream = torch.Generator().manual_seed(0)
    means = torch.randn(n_classes, width, generator=stream, dtype=torch.float64) + offset
    whiten = torch.eye(width, dtype=torch.float64)
    x = torch.randn(n, width, generator=stream, dtype=torch.float64) + offset
    return Territory(means, whiten, 0.0, float(width)), x


@pytest.mark.parametrize(
    ("n", "n_classes", "width"), [(1, 1, 1), (0, 3, 4), (300, 200, 512), (5000, 3, 512), (7, 9, 5)]
)
def test_distances_in_parts_are_bit_for_bit_those_at_once(n, n_classes, width):
    here, x = planted(n, n_classes, width)
    at_once = (x[:, None] @ here.whiten - here.means).square().sum(-1).min(1).values if n else torch.empty(0)
    assert torch.equal(here.distance(x), at_once.double())


def test_distances_far_from_the_origin_keep_their_digits():
    """|x|² - 2xc + |c|² loses 14 of its 16 digits here."""
    here, x = planted(50, 20, 16, offset=1e6)
    expected = cdist(x.numpy(), here.means.numpy(), "sqeuclidean").min(1)
    np.testing.assert_allclose(here.distance(x).numpy(), expected, rtol=1e-12)
    expanded = x.square().sum(1)[:, None] - 2 * x @ here.means.T + here.means.square().sum(1)
    assert not np.allclose(expanded.min(1).values.numpy(), expected, rtol=1e-6), "the shorter way would not do"


def test_a_thousand_classes_and_thousands_of_images_take_little_memory():
    here, x = planted(4000, 1000, 512)
    tracker = Largest()
    with tracker:
        sent, _ = Router({"t": here}).route(x[:200])
    assert len(sent) == 200
    assert tracker.bytes < 20e6
    with tracker:
        here.distance(x[:400])
    assert tracker.bytes < 20e6, "whatever the number of images"
    with tracker:
        _ = x[:5, None] - here.means
    assert tracker.bytes > 20e6, "it sees what is held at once"


@settings(max_examples=40)
@given(n=st.integers(20, 400), share=st.sampled_from([0.0, 0.01, 0.05, 0.2, 0.5]))
def test_false_rejection_on_validation_is_the_stated_share(n, share):
    x, labels = cloud(0, 60 + n)
    fitted = Territory.fit(x[:60], labels[:60], x[60:], share)
    beyond = int((fitted.distance(x[60:]) > fitted.threshold).sum())
    assert share * n - 1 - share <= beyond <= share * n  # to the next image, never more than stated


def test_the_runs_reject_that_share_of_their_own_validation_images():
    for name in ("stripes", "blobs"):
        validation = encode(task(name), encoder(), data_dir() / "features").validation().pooled()
        fitted = Territory.load(finished(name).router_file)
        beyond = (fitted.distance(validation) > fitted.threshold).double().mean()
        assert beyond <= FALSE_REJECTION


def test_a_constant_feature_does_no_harm():
    x, labels = cloud(0)
    x[:, 2] = 7.0
    fitted = Territory.fit(x[:150], labels[:150], x[150:])
    assert torch.isfinite(fitted.distance(x)).all()
    assert np.isfinite([fitted.log_det, fitted.threshold]).all()


def test_more_features_than_images_are_no_obstacle():
    x = torch.randn(20, 100, generator=torch.Generator().manual_seed(0))
    fitted = Territory.fit(x[:14], torch.arange(14) % 2, x[14:])
    assert torch.isfinite(fitted.distance(x)).all()


def test_save_and_load(tmp_path):
    fitted = territory(0)
    fitted.save(tmp_path / "r.safetensors")
    loaded = Territory.load(tmp_path / "r.safetensors")
    x, _ = cloud(1)
    assert torch.equal(loaded.distance(x), fitted.distance(x))
    assert (loaded.log_det, loaded.threshold) == (fitted.log_det, fitted.threshold)
    loaded.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "r.safetensors").read_bytes()


def test_missing_and_damaged_files_are_refused(tmp_path):
    with refused("router file .*none.safetensors: no such file; has its run finished"):
        Territory.load(tmp_path / "none.safetensors")
    for content in (b"", b"nonsense"):
        (tmp_path / "r.safetensors").write_bytes(content)
        with refused("router file .*cannot be read"):
            Territory.load(tmp_path / "r.safetensors")
    with refused("router file .*cannot be read"):
        Territory.load(finished("blobs").expert_file)


# --- several -------------------------------------------------------------------------------------------------------


def test_each_tasks_images_go_home(router):
    for number, (centre, seed) in enumerate([(0, 1), (30, 2), (-40, 3)]):
        sent, ratio = router.route(cloud(centre, seed=seed)[0])
        assert (sent == number).mean() > 0.95
        assert np.array_equal(sent == UNKNOWN, ratio > 1)


def test_far_away_points_are_unknown(router):
    far = torch.full((3, WIDTH), 1e4) * torch.tensor([[1.0], [-1.0], [0.5]])
    sent, ratio = router.route(far)
    assert sent.tolist() == [UNKNOWN] * 3
    assert (ratio > 1).all()


def test_no_image_is_sent_to_a_task_that_rejects_it(router):
    x = torch.cat([cloud(centre, seed=9)[0] for centre in (-40, -20, 0, 5, 15, 30, 45)])
    sent, _ = router.route(x)
    ratios = np.stack([(t.distance(x) / t.threshold).numpy() for t in router.territories.values()], 1)
    for row, task_index in zip(ratios, sent, strict=True):
        assert (task_index == UNKNOWN) == (row > 1).all()
        assert task_index == UNKNOWN or row[task_index] <= 1


def test_of_several_claims_the_denser_wins():
    eye = torch.eye(1).double()
    wide = Territory(torch.tensor([[0.0]]).double(), eye / 10, 2 * np.log(10), 9.0)  # spread 10
    narrow = Territory(torch.tensor([[5.0]]).double(), eye, 0.0, 9.0)  # spread 1
    both = Router({"wide": wide, "narrow": narrow})
    # at 5.5 both claim; at 0 only the wide one, though at 1 sigma of nothing; at 40 neither
    assert both.route(torch.tensor([[5.5], [0.0], [40.0]]))[0].tolist() == [1, 0, UNKNOWN]


def test_a_task_that_rejects_an_image_does_not_keep_it_from_others():
    eye = torch.eye(1).double()
    wide = Territory(torch.tensor([[0.0]]).double(), eye / 10, 2 * np.log(10), 9.0)
    narrow = Territory(torch.tensor([[5.0]]).double(), eye, 0.0, 1.0)
    # at 7 the narrow one is denser, -0.5 · 2² against -0.5 · (0.7² + 4.6), but lies 2² beyond its threshold of 1
    assert Router({"wide": wide, "narrow": narrow}).route(torch.tensor([[7.0]]))[0].tolist() == [0]


@settings(max_examples=40)
@given(data=st.data())
def test_routing_commutes_with_the_order_of_a_batch(router, data):
    x = torch.cat([cloud(centre, 12, seed=4)[0] for centre in (0, 30, -40, 900)])
    order = torch.tensor(data.draw(st.permutations(range(len(x)))))
    sent, ratio = router.route(x)
    shuffled, shuffled_ratio = router.route(x[order])
    assert np.array_equal(shuffled, sent[order.numpy()])
    np.testing.assert_allclose(shuffled_ratio, ratio[order.numpy()], rtol=1e-9)
    one = data.draw(st.integers(0, len(x) - 1))
    assert router.route(x[one : one + 1])[0][0] == sent[one], "other images of the batch do not matter"


def test_another_task_leaves_the_others_answers_alone(tmp_path):
    alone = {"a": territory(0, 1)}
    alone["a"].save(tmp_path / "a.safetensors")
    before, threshold = (tmp_path / "a.safetensors").read_bytes(), alone["a"].threshold
    x = cloud(0, seed=1)[0]
    sent, _ = Router(alone).route(x)
    both = Router(alone | {"far": territory(500, 2)})
    assert np.array_equal(both.route(x)[0], sent)
    assert both.territories["a"].threshold == threshold
    both.territories["a"].save(tmp_path / "a.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == before


def test_the_order_of_the_tasks_changes_no_answer(router):
    x = torch.cat([cloud(centre, seed=6)[0] for centre in (0, 30, -40, 200)])
    turned = Router(dict(reversed(router.territories.items())))

    def names(one: Router) -> list[str]:
        return ["unknown" if k == UNKNOWN else one.tasks[k] for k in one.route(x)[0]]

    assert names(turned) == names(router)


def test_different_widths_and_no_task_are_refused():
    with refused("tasks must share one encoder, got feature widths .*'a': 5.*'b': 2"):
        Router({"a": territory(0), "b": Territory.fit(torch.randn(20, 2), torch.arange(20) % 2, torch.randn(5, 2))})
    with refused("expected at least one task, got none; name a finished run"):
        Router({})


# --- another rate ---------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(m=st.integers(2, 300), share=st.sampled_from([0.0, 0.005, 0.01, 0.05, 0.29, 0.5]))
def test_any_rate_can_be_chosen_later_without_images(m, share):
    x, labels = cloud(0, 60 + m)
    kept = Territory.fit(x[:60], labels[:60], x[60:]).at(share)
    assert int((kept.distance(x[60:]) > kept.threshold).sum()) <= int(share * m + 1e-9)
    assert kept.threshold == Territory.fit(x[:60], labels[:60], x[60:], share).threshold


def test_a_higher_rate_never_claims_more():
    thresholds = [territory(0).at(rate).threshold for rate in (0, 0.01, 0.05, 0.2)]
    assert thresholds == sorted(thresholds, reverse=True)


def test_a_file_of_the_earlier_form_keeps_its_threshold_and_refuses_another(tmp_path):
    fitted = territory(0)
    numbers = torch.tensor([fitted.log_det, fitted.threshold], dtype=torch.float64)
    save_file({"means": fitted.means, "whiten": fitted.whiten, "numbers": numbers}, tmp_path / "r.safetensors")
    old = Territory.load(tmp_path / "r.safetensors")
    assert old.threshold == fitted.threshold
    with refused("expected a file with validation distances, which another --false-rejection needs"):
        old.at(0.05)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 5.0, float("nan")])
def test_rates_that_are_no_share_are_refused(rate):
    with refused("--false-rejection: expected a share from 0 to below 1, such as 0.01"):
        territory(0).at(rate)


def test_a_nearly_dead_feature_does_not_decide_alone():
    x, labels = cloud(0)
    quiet = x.clone()
    quiet[:, 2] = 1e-9 * torch.randn(len(x), generator=torch.Generator().manual_seed(0))
    fitted = Territory.fit(quiet[:150], labels[:150], quiet[150:])
    stirred = quiet[150:].clone()
    stirred[:, 2] = 1e-3  # a million times its spread, and nothing beside the others
    inside = (fitted.distance(quiet[150:]) <= fitted.threshold).double().mean()
    assert (fitted.distance(stirred) <= fitted.threshold).double().mean() >= inside - 0.02
    loud = quiet[150:].clone()
    loud[:, 2] = 100.0
    assert (fitted.distance(loud) > fitted.threshold).all(), "a real change of it still counts"
