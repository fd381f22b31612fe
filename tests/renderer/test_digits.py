"""The digit classifier that ships with the renderer."""

import dataclasses

import numpy as np
import pytest

from renderer.digits import DigitsModel, load_digits_model
from scripts.digits_forward import forward


@pytest.fixture(scope="module")
def model() -> DigitsModel:
    return load_digits_model()


def test_the_weights_are_small(model: DigitsModel) -> None:
    assert sum(weight.nbytes for weight in model.weights.values()) < 200_000


def test_every_weight_is_finite_float32(model: DigitsModel) -> None:
    for name, weight in model.weights.items():
        assert weight.dtype == np.float32, name
        assert np.isfinite(weight).all(), name


def test_there_are_at_least_300_held_out_images_of_every_digit(model: DigitsModel) -> None:
    count = len(model.images)
    assert count >= 300
    assert model.images.shape == (count, 1, 8, 8)
    assert model.images.dtype == np.float32
    assert (model.images.min(), model.images.max()) == (0.0, 1.0)
    assert model.labels.shape == (count,)
    assert model.labels.dtype == np.uint8
    assert set(model.labels.tolist()) == set(range(10))


def test_the_model_reads_at_least_97_of_100_held_out_digits(model: DigitsModel) -> None:
    accuracy = np.mean(forward(model, model.images).argmax(axis=1) == model.labels)
    assert accuracy >= 0.97


def test_an_image_is_classified_independently_of_its_batch(model: DigitsModel) -> None:
    together = forward(model, model.images[:4])
    alone = [forward(model, model.images[i : i + 1])[0] for i in range(4)]
    np.testing.assert_allclose(together, alone, rtol=1e-12, atol=1e-12)


def test_a_loaded_model_cannot_be_changed(model: DigitsModel) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.labels = model.labels  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        model.conv1_filter[0] = 0
