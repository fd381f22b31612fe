"""The trainer of the digit classifier."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from renderer.digits import FIELD_NAMES, DigitsModel, load_digits_model
from scripts import train_digits
from scripts.digits_forward import forward

ROOT = Path(__file__).resolve().parents[2]

_TRAIN_WITHOUT_SCIKIT_LEARN = """
import sys
from importlib.abc import MetaPathFinder

class NotInstalled(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "sklearn":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NotInstalled())
from scripts.train_digits import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def shipped() -> DigitsModel:
    return load_digits_model()


@pytest.mark.parametrize("name", train_digits.PARAMETER_SHAPES)
def test_the_gradient_is_the_slope_of_the_loss(name: str) -> None:
    rng = np.random.default_rng(1)
    parameters = train_digits.initial_parameters(rng, np.float64)
    for key in parameters:
        parameters[key] += 0.1 * rng.standard_normal(parameters[key].shape)  # biases start at zero: hide nothing there
    images, labels = rng.random((3, 1, 8, 8)), rng.integers(0, 10, 3)
    gradient = train_digits.loss_and_gradients(parameters, images, labels)[1][name]
    for _ in range(5):
        # A random direction has a part along every entry, so one wrong entry changes the slope.
        direction = rng.standard_normal(gradient.shape)
        direction /= np.linalg.norm(direction)

        def loss(step: float, along: np.ndarray = direction) -> float:
            moved = parameters | {name: parameters[name] + step * along}
            return train_digits.loss_and_gradients(moved, images, labels)[0]

        step = 1e-6
        assert np.sum(gradient * direction) == pytest.approx(
            (loss(step) - loss(-step)) / (2 * step), rel=1e-5, abs=1e-8
        )


def test_a_few_steps_from_fresh_weights_halve_the_loss(shipped: DigitsModel) -> None:
    images, labels = shipped.images[:128], shipped.labels[:128]
    fresh = train_digits.initial_parameters(np.random.default_rng(3))
    before = train_digits.loss_and_gradients(fresh, images, labels)[0]
    trained = train_digits.train(images, labels, seed=3, epochs=20)
    assert train_digits.loss_and_gradients(trained, images, labels)[0] < before / 2


def test_the_same_seed_gives_the_same_weights_and_another_does_not(shipped: DigitsModel) -> None:
    images, labels = shipped.images[:64], shipped.labels[:64]
    first, second = (train_digits.train(images, labels, seed=5, epochs=2) for _ in range(2))
    other = train_digits.train(images, labels, seed=6, epochs=2)
    for name in train_digits.PARAMETER_SHAPES:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    assert not np.array_equal(first["conv1_filter"], other["conv1_filter"])


def test_training_stays_in_float32(shipped: DigitsModel) -> None:
    trained = train_digits.train(shipped.images[:64], shipped.labels[:64], seed=0, epochs=1)
    assert {value.dtype for value in trained.values()} == {np.dtype(np.float32)}


def test_the_trainers_network_is_the_one_the_demo_computes(shipped: DigitsModel) -> None:
    logits = train_digits.predict(dict(shipped.weights), shipped.images)
    np.testing.assert_allclose(logits, forward(shipped, shipped.images), rtol=1e-4, atol=1e-4)


def test_the_shipped_shapes_are_those_that_the_trainer_makes(shipped: DigitsModel) -> None:
    assert {name: weight.shape for name, weight in shipped.weights.items()} == train_digits.PARAMETER_SHAPES


def test_saving_the_shipped_model_again_gives_the_same_arrays_and_bytes(shipped: DigitsModel, tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        train_digits.save(shipped, tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        assert set(archive.files) == set(FIELD_NAMES)
        for name in FIELD_NAMES:
            np.testing.assert_array_equal(archive[name], getattr(shipped, name), err_msg=name)


def test_the_shipped_images_are_the_ones_held_out_of_training(shipped: DigitsModel) -> None:
    pytest.importorskip("sklearn")
    data = train_digits.load_data()
    np.testing.assert_array_equal(shipped.images, data.test_images)
    np.testing.assert_array_equal(shipped.labels, data.test_labels)
    assert len(data.images) + len(data.test_images) == 1797
    trained_on = {image.tobytes() for image in data.images}
    assert not [image for image in data.test_images if image.tobytes() in trained_on]


def test_a_bad_model_is_not_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn")
    output = tmp_path / "digits.npz"
    assert train_digits.main(["--epochs", "1", "--output", str(output)]) == 1
    assert not output.exists()
    assert "nothing is written" in capsys.readouterr().err


def test_without_scikit_learn_the_trainer_says_what_to_install_and_exits_with_2(tmp_path: Path) -> None:
    output = tmp_path / "digits.npz"
    run = subprocess.run(
        [sys.executable, "-c", _TRAIN_WITHOUT_SCIKIT_LEARN, "--output", str(output)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2, run.stderr
    assert "pip install scikit-learn" in run.stderr
    assert not output.exists()


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        train_digits.main(["--help"])
    assert exit_.value.code == 0
    shown = capsys.readouterr().out
    assert all(option in shown for option in ("--output", "--seed", "--epochs"))
