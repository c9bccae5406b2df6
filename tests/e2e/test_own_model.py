"""A live campaign with a network outside the program, which is never trained by it."""

import csv
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from tests.e2e.commands import answer, done, status, task_words
from tests.support import CLASSES, Made, make_dataset
from tests.unit.report.reading import Page

EXAMPLES = Path(__file__).parents[2] / "examples"
TASKS = ("semseg", "depth")


class Pixels(nn.Module):
    """Classifies each pixel by its colour and place, and estimates its depth."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Conv2d(5, 16, 1), nn.ReLU(), nn.Dropout(0.2))
        self.classes = nn.Conv2d(16, len(CLASSES), 1)
        self.depth = nn.Conv2d(16, 1, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and metres of images [b, 3, h, w]."""
        rows = torch.linspace(-1, 1, images.shape[2])[:, None].expand(images.shape[-2:])
        columns = torch.linspace(-1, 1, images.shape[3]).expand(images.shape[-2:])
        places = torch.stack([rows, columns]).expand(len(images), 2, *images.shape[-2:])
        hidden = self.hidden(torch.cat([images - 0.5, places], 1))
        return self.classes(hidden), self.depth(hidden)


def train(folder: Path, images: Path) -> Pixels:
    """Train on the project's labels, the held-out ones left out, as a program of a user's own does."""
    torch.manual_seed(0)
    labels = folder.parent / "labels"
    done("export", folder, "--labels", "--out", labels)
    with (labels / "labels.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
    network = Pixels()
    optimiser = torch.optim.Adam(network.parameters(), 0.03)
    for _ in range(40):
        for row in rows:
            image = np.array(Image.open(images / row["image"]).convert("RGB"))
            classes, depth = network(torch.from_numpy(image).permute(2, 0, 1)[None] / 255)
            stored = np.array(Image.open(labels / row["path"]))
            truth = torch.from_numpy(stored.astype(np.float32))
            if row["task"] == "semseg":
                loss = nn.functional.cross_entropy(classes, truth[None].long(), ignore_index=255)
            else:
                loss = (depth[0, 0] - truth / 1000)[truth > 0].abs().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return network


def example(name: str) -> Any:
    """The module of an example."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def flat(tmp_path: Path) -> tuple[Path, Made]:
    """A project whose held-out images and first picks are labelled."""
    made = make_dataset(tmp_path / "made", n=12, size=[(32, 64), (48, 40)], tasks=TASKS)
    (made.root / "classes.txt").write_text("\n".join(CLASSES))
    folder = tmp_path / "flat"
    words = ["--images", made.images, *task_words(made), "--holdout", 3]
    done("init", folder, *words, "--strategy", "partal")
    done("query", folder, "--budget", 6)
    done("export", folder)
    for number in (0, 1):
        request = folder / "rounds" / f"{number:04d}" / "request"
        answer(request, made)
        done("import", folder, request)
    return folder, made


def test_a_campaign_with_a_network_outside_goes_from_labels_to_the_report(
    flat: tuple[Path, Made], tmp_path: Path
) -> None:
    folder, made = flat
    write = example("predictions_from_pytorch").write_predictions
    spent = [status(folder)["spent"]]
    for number in (2, 3):
        out = tmp_path / f"predictions{number}"
        write(train(folder, made.images), made.images, made.names, out)
        said = done("score", folder, "--predictions", out)
        assert "Scored" in said.out and "3 held-out images measured" in said.err
        assert "fit" not in status(folder)["next"]
        picks = json.loads(done("query", folder, "--budget", 4, "--json").out)
        assert picks["round"] == number and picks["strategy"] == "partal"
        assert len(picks["picks"]) == 4
        done("export", folder)
        request = folder / "rounds" / f"{number:04d}" / "request"
        prelabels = list((folder / "rounds" / f"{number:04d}" / "prelabels").rglob("*.png"))
        assert len(prelabels) == 4
        answer(request, made)
        done("import", folder, request)
        spent.append(status(folder)["spent"])
    assert spent == sorted(set(spent))
    found = {
        headline["task"]: headline["result"]["value"] for headline in status(folder)["headlines"]
    }
    assert found["semseg"] > 40  # % mIoU of four classes; 25 % by chance
    again = json.loads(done("evaluate", folder, "--json").out)
    assert again["labels"] == {"semseg": 3, "depth": 3}
    done("report", folder)
    page = Page((folder / "report.html").read_text())
    assert "partal" in page.text and "mIoU" in page.text
    assert "No network has been measured" not in page.text


@pytest.mark.filterwarnings("ignore:You are using the legacy TorchScript-based ONNX export")
def test_the_members_of_an_ensemble_in_onnx_files_are_scored(
    flat: tuple[Path, Made], tmp_path: Path
) -> None:
    folder, made = flat
    models = []
    for seed in range(3):
        torch.manual_seed(seed)
        network = nn.Conv2d(3, len(CLASSES), 3, padding=1)
        models.append(tmp_path / f"{seed}.onnx")
        torch.onnx.export(network, (torch.zeros(1, 3, 24, 32),), models[-1], dynamo=False)
    write = example("predictions_from_onnx").write_predictions
    write(models, made.images, made.names, tmp_path / "out", (24, 32))
    assert "dropout" in done("score", folder, "--predictions", tmp_path / "out").out
    picks = json.loads(done("query", folder, "--budget", 4, "--json").out)["picks"]
    assert {pick["cell"]["task"] for pick in picks} <= {"semseg", "depth"}
