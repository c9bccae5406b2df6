"""Frozen encoders in a project: each lies once beside the checkpoints, and its maps are computed once."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from labelgrid.advice.control import compare_with_control
from labelgrid.advice.round_times import round_times
from labelgrid.audit.audit_folds import fold_evidence
from labelgrid.basics.errors import ModelError, RecipeError
from labelgrid.basics.plugins import PluginChoice
from labelgrid.basics.progress import Silent
from labelgrid.data.project_source import ProjectSource
from labelgrid.executors.places.processes import Processes
from labelgrid.executors.workplace import Workplace
from labelgrid.exporting.export_model import export_model
from labelgrid.lab.simulation.campaign import copy_run
from labelgrid.nets.backbones import Encoder
from labelgrid.nets.encoder_options import BackboneOptions
from labelgrid.nets.hashes import weights_hash
from labelgrid.operations.verify import verify
from labelgrid.project.folder import SETTINGS, ProjectFolder
from labelgrid.project.records import Fit, newest_fit, read_members, write_fit
from labelgrid.project.settings import SHARED_FEATURES, settings_text
from labelgrid.rounds import fit, predict, query, score
from labelgrid.rounds.context import context_of
from labelgrid.rounds.evaluate import evaluate_split
from labelgrid.rounds.live_model import LiveModel
from labelgrid.rounds.members import train_member
from labelgrid.rounds.models import restore, restore_model
from labelgrid.rounds.shard_predictor import PRELOADED
from labelgrid.select.strategy import Budget
from labelgrid.train.checkpoint import encoder_hash, load, save
from tests.projects import Said
from tests.rounds import QUICK, Killed, Killing, copied, fit_killed, labelled, with_control

FROZEN = {"train": "frozen", "pretrained": False, "name": "test_efficientnet"}


def changes(kept: float = 20.0, **data: Any) -> dict[str, Any]:
    return {
        **QUICK,
        "train": {"epochs": 4, "batch": 2},
        "backbone": {**FROZEN, "kept": kept},
        "data": {"kept_views": 2, **data},
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProjectFolder]:
    project, _ = labelled(tmp_path_factory.mktemp("made"), n=8, tasks=("depth", "semseg"))
    with project:
        yield project


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Notes each image that an encoder's module sees."""
    seen: list[int] = []
    plain = Encoder._given_maps

    def noting(encoder: Encoder, image: Any) -> Any:
        seen.append(len(image))
        return plain(encoder, image)

    monkeypatch.setattr(Encoder, "_given_maps", noting)
    return seen


def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes each image of a project that is decoded."""
    seen: list[str] = []
    plain = ProjectSource.image

    def noting(source: ProjectSource, image_id: str) -> Any:
        seen.append(image_id)
        return plain(source, image_id)

    monkeypatch.setattr(ProjectSource, "image", noting)
    return seen


def test_trainings_and_scores_are_the_same_with_kept_maps_and_each_map_is_computed_once(
    made: ProjectFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = counted(monkeypatch)
    with copied(made, tmp_path / "none") as none:
        without = fit.fit(none, Silent(), changes=changes(kept=0))
        scores = score.score(none, Silent(), "partal").statistics
        assert not none.features.exists()
    each_time = len(seen)
    seen.clear()
    with copied(made, tmp_path / "kept") as kept:
        assert fit_killed(kept, changes(), step=5).model == without.model
        again = score.score(kept, Silent(), "partal").statistics
        files = [path for path in kept.features.rglob("*") if path.is_file()]
        maps = [path for path in files if b'"F16"' in path.read_bytes()]
        # Every image in two views at most, and what the size of the input is tried with.
        assert len(seen) == len(maps) <= 2 * 8 + 1 < each_time
        assert len(files) - len(maps) <= 2 * 8
        seen.clear()
        shutil.rmtree(kept.round_folder(without.round))
        assert fit.fit(kept, Silent(), changes=changes()).model == without.model
        assert not seen
    assert scores.keys() == again.keys()
    for name, values in scores.items():
        assert np.array_equal(values, again[name], equal_nan=True), name


def test_no_image_is_decoded_again_in_later_rounds(
    made: ProjectFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with copied(made, tmp_path / "kept") as project:
        project.settings = replace(project.settings, changes=changes())
        fit.fit(project, Silent(), changes={"train": {"epochs": 12, "cache": 0.0}})
        score.score(project, Silent(), "partal")
        seen = decoded(monkeypatch)
        fit.fit(project, Silent(), changes={"train": {"epochs": 12, "cache": 0.0, "clip": 9.0}})
        assert not seen


def test_a_training_says_what_its_maps_take_and_why_views_that_change_are_not_kept(
    made: ProjectFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = counted(monkeypatch)
    with copied(made, tmp_path / "kept") as project:
        said = Said()
        fit.fit(project, said, changes=changes(kept_views=3))
        (line,) = [line for line in said.lines if "maps of 5 training images in 3 views" in line]
        assert "GiB are kept" in line and "e-0" not in line and str(project.features) in line
        seen.clear()
        said = Said()
        fit.fit(project, said, changes=changes(kept_views=0, zoom=[1.0, 1.2]))
        assert "`kept_views = 8`" in " ".join(said.lines) and len(seen) > 10
        said = Said()
        fit.fit(project, said, changes={**changes(), "terms": {"learning_loss": {}}})
        assert "maps are computed each time" in " ".join(said.lines)


def test_an_encoder_of_its_own_is_not_frozen_by_any_way_in(made: ProjectFolder) -> None:
    wrong = {**changes(), "network": {"name": "segnet", "options": {"width": 8}}}
    with pytest.raises(RecipeError, match="encoder of its own"):
        fit.fit(made, Silent(), changes=wrong)


def test_forecasts_and_exports_keep_no_maps(made: ProjectFolder, tmp_path: Path) -> None:
    with copied(made, tmp_path / "kept") as project:
        project.settings = replace(project.settings, changes=changes())
        fit.fit(project, Silent())
        before = sorted(project.features.rglob("*"))
        round_times(project, Silent(), own_recipe=True)
        export_model(project, tmp_path / "model.onnx", [], Silent())
        assert sorted(project.features.rglob("*")) == before


def kill(*_: Any, **__: Any) -> None:
    raise Killed


def as_before(path: Path, encoders: Path) -> None:
    """Make a checkpoint one of format 4, which held the encoder."""
    save(replace(load(path, encoders), encoder={}), path)
    values = torch.load(path, weights_only=True)
    del values["encoder"]
    torch.save({**values, "format": 4}, path)


def predicted(project: ProjectFolder, done: Fit, images: int = 2) -> list[torch.Tensor]:
    """What a round's network predicts for images of noise."""
    network = restore(project, done)[1].network
    with torch.inference_mode():
        final = network(torch.rand(images, 3, 64, 96, generator=torch.manual_seed(0))).final
    return [final[name] for name in sorted(final)]


def encoder_of(project: ProjectFolder) -> Path:
    """The file of the project's only encoder."""
    (path,) = project.encoders.iterdir()
    return path


@pytest.fixture(scope="module")
def trained(
    made: ProjectFolder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProjectFolder]:
    with copied(made, tmp_path_factory.mktemp("trained") / "flat") as project:
        project.settings = replace(project.settings, changes=changes())
        write_settings(project)
        fit.fit(project, Silent())
        yield project


def write_settings(project: ProjectFolder) -> None:
    (project.folder / SETTINGS).write_text(settings_text(project.settings))


def test_a_model_is_bitwise_the_one_whose_checkpoint_holds_the_encoder(
    trained: ProjectFolder, tmp_path: Path
) -> None:
    with copied(trained, tmp_path / "flat") as project:
        done = newest_fit(project.folder)
        assert done
        path = project.inside(done.checkpoint)
        small = path.stat().st_size
        assert load(path, project.encoders).digest == done.model
        before = predicted(project, done)
        as_before(path, project.encoders)
        assert path.stat().st_size - small > 0.9 * encoder_of(project).stat().st_size
        shutil.rmtree(project.encoders)
        assert load(path).digest == done.model
        assert all(map(torch.equal, before, predicted(project, done)))
        assert fit.fit(project, Silent()).model == done.model


def test_a_training_begun_with_a_whole_checkpoint_goes_on_to_the_same_weights(
    trained: ProjectFolder, tmp_path: Path
) -> None:
    done = newest_fit(trained.folder)
    assert done
    with copied(trained, tmp_path / "flat") as project:
        shutil.rmtree(project.round_folder(done.round))
        with pytest.raises(Killed):
            fit.fit(project, Killing(8))
        last = project.round_folder(done.round) / "fit" / "last.ckpt"
        assert 0 < load(last, project.encoders).epoch < 4
        as_before(last, project.encoders)
        shutil.rmtree(project.encoders)
        again = fit.fit(project, Silent())
        assert again.model == done.model and again.encoder == done.encoder
        assert encoder_of(project).stem == done.encoder


@pytest.mark.parametrize(
    "where",
    [
        "labelgrid.train.frozen_encoder.save",
        "labelgrid.train.frozen_encoder.write_bytes",
        "labelgrid.train.loop.save",
    ],
)
def test_killed_about_the_encoders_file_a_training_comes_to_the_same_model(
    trained: ProjectFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    done = newest_fit(trained.folder)
    assert done
    with copied(trained, tmp_path / "flat") as project:
        shutil.rmtree(project.round_folder(done.round))
        shutil.rmtree(project.encoders)
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(where, kill)
            fit.fit(project, Silent())
        assert not [*project.round_folder(done.round).rglob("*.ckpt")]
        assert fit.fit(project, Silent()).model == done.model
        assert encoder_of(project).stem == done.encoder


def lose(path: Path) -> None:
    path.unlink()


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-9] ^= 16
    path.write_bytes(content)


@pytest.mark.parametrize(("harm", "fault"), [(lose, "missing"), (damage, "damaged")])
def test_a_lost_encoder_is_told_by_all_and_a_fit_with_the_same_weights_writes_it_again(
    trained: ProjectFolder, tmp_path: Path, harm: Callable[[Path], None], fault: str
) -> None:
    with copied(trained, tmp_path / "flat") as project:
        done = newest_fit(project.folder)
        assert done and verify(project, Silent()).faults == []
        before = predicted(project, done)
        path = encoder_of(project)
        harm(path)
        wanted = (
            rf"{fault}: test_efficientnet with random weights, hash {path.stem} \(.*{path.name}"
        )
        with pytest.raises(ModelError, match=wanted):
            restore(project, done)
        with pytest.raises(ModelError, match=wanted):
            export_model(project, tmp_path / "model.onnx", [], Silent())
        (found,) = verify(project, Silent()).faults
        assert found.where == f"encoders/{path.name}" and f"is {fault}: test_eff" in found.what
        assert fit.fit(project, Silent()).model == done.model
        assert all(map(torch.equal, before, predicted(project, done)))
        assert verify(project, Silent()).faults == []


def test_without_the_encoder_a_fit_from_other_weights_says_what_it_needs(
    trained: ProjectFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with copied(trained, tmp_path / "flat") as project:
        lost = encoder_of(project)
        lost.unlink()
        plain = Encoder.__init__

        def otherwise(encoder: Encoder, *arguments: Any, **options: Any) -> None:
            plain(encoder, *arguments, **options)
            with torch.no_grad():
                next(encoder.given.parameters()).add_(1)

        monkeypatch.setattr(Encoder, "__init__", otherwise)
        with pytest.raises(ModelError, match="remove the folder `fit` of the round"):
            fit.fit(project, Silent())
        shutil.rmtree(project.round_folder(project.round_number) / "fit")
        assert fit.fit(project, Silent()).encoder != lost.stem


def test_a_wrong_hash_in_a_record_is_a_fault_and_no_path(
    trained: ProjectFolder, tmp_path: Path
) -> None:
    with copied(trained, tmp_path / "flat") as project:
        done = newest_fit(project.folder)
        assert done
        folder = project.round_folder(done.round)
        write_fit(folder, replace(done, encoder="../../../etc/hosts"))
        (found,) = verify(project, Silent()).faults
        assert "16 hexadecimal digits" in found.what
        (folder / "fit.json").write_text("{")
        (found,) = verify(project, Silent()).faults
        assert found.where.endswith("fit.json")


def test_members_name_the_encoders_that_they_were_trained_with(
    trained: ProjectFolder, tmp_path: Path
) -> None:
    with copied(trained, tmp_path / "flat") as project:
        done = newest_fit(project.folder)
        assert done
        context = context_of(project)
        member = train_member(context, done, "a", Silent())
        # Random weights, of another seed.
        files = {path.stem for path in project.encoders.iterdir()}
        record = read_members(project.round_folder(done.round))["a"]
        assert files == {done.encoder, record.encoder} and len(files) == 2
        assert restore_model(context, done).members[0].digest == member.digest
        (project.encoders / f"{record.encoder}.safetensors").unlink()
        (found,) = verify(project, Silent()).faults
        assert record.encoder in found.what
        with pytest.raises(ModelError, match=record.encoder):
            restore_model(context, done)


def test_a_round_goes_on_from_weights_whose_encoder_was_lost_if_it_has_the_same(
    made: ProjectFolder, tmp_path: Path
) -> None:
    with copied(made, tmp_path / "flat") as project:
        first = fit.fit(project, Silent(), changes=changes())
        query.query(project, Budget(2), Silent(), strategy="random_cells", prelabels=False)
        encoder_of(project).unlink()
        again = changes()
        again["train"] = {**again["train"], "restart": False}
        said = Said()
        second = fit.fit(project, said, changes=again)
        assert f"Continuing from the weights of round {first.round}." in said.lines
        assert second.encoder == first.encoder == encoder_of(project).stem
        assert len(predicted(project, first)) == len(predicted(project, second)) == 2


def test_a_teacher_with_the_same_encoder_is_left_out_too(
    made: ProjectFolder, tmp_path: Path
) -> None:
    with copied(made, tmp_path / "flat") as project:
        teaching = {**changes(), "terms": {"mean_teacher": {"evaluate": "teacher"}}}
        done = fit_killed(project, teaching, step=5)
        path = project.inside(done.checkpoint)
        small = path.stat().st_size
        assert load(path, project.encoders).digest == done.model
        assert restore(project, done)[1].digest == done.model
        as_before(path, project.encoders)
        assert path.stat().st_size - small > 1.9 * encoder_of(project).stat().st_size


def test_processes_elsewhere_find_the_encoder(
    trained: ProjectFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with copied(trained, tmp_path / "flat") as project:
        images = made_images(project)
        alone = tmp_path / "alone"
        predict.predict(project, images, alone, None, Silent())
        elsewhere = tmp_path / "elsewhere"
        monkeypatch.chdir(tmp_path)
        place = Workplace(Processes(PRELOADED, 1), 16)
        with ProjectFolder.open(Path("flat")) as relative:
            predict.predict(relative, images, elsewhere, None, Silent(), workplace=place)
            table = score.score(relative, Silent(), "partal", workplace=place)
        assert table.images
        written = [path.relative_to(alone) for path in alone.rglob("*.png")]
        assert written and all((elsewhere / name).is_file() for name in written)


def made_images(project: ProjectFolder) -> Path:
    """A folder with two of the project's images."""
    folder = project.folder.parent / "images"
    folder.mkdir()
    for row in list(project.store.images())[:2]:
        shutil.copy(Path(row.root) / row.image_id, folder)
    return folder


def test_runs_of_a_study_share_encoders(trained: ProjectFolder, tmp_path: Path) -> None:
    runs = tmp_path / "study" / "runs"
    runs.mkdir(parents=True)
    with copied(trained, runs / "one") as project:
        project.settings = replace(project.settings, features=SHARED_FEATURES)
        write_settings(project)
        shutil.rmtree(project.round_folder(project.round_number))
        shutil.rmtree(project.encoders, ignore_errors=True)
        shutil.rmtree(project.folder / "encoders")
        said = Said()
        done = fit.fit(project, said)
        assert f"in {tmp_path / 'study' / 'features'}, which" in " ".join(said.lines)
        assert encoder_of(project).parent.samefile(tmp_path / "study" / "encoders")
        assert not (project.folder / "encoders").exists()
        copy_run(project.folder, runs / "two", project.settings)
    with ProjectFolder.open(runs / "two") as other:
        assert restore(other, done)[1].digest == done.model


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProjectFolder]:
    """A project with given weights, picks and a control, all of whose maps are kept."""
    folder = tmp_path_factory.mktemp("warm")
    project, _ = with_control(folder)
    backbone = {**FROZEN, "pretrained": True}
    save_file(timm.create_model(FROZEN["name"]).state_dict(), folder / "weights.safetensors")
    with project:
        project.settings = replace(
            project.settings,
            changes={**changes(), "backbone": backbone, "score": {"ensemble": {"members": 2}}},
            weights=str(folder / "weights.safetensors"),
        )
        write_settings(project)
        fit.fit(project, Silent(), changes={"train": {"epochs": 20}})
        for strategy in ("typiclust", "equal"):  # the image, and its mirror image
            score.score(project, Silent(), strategy)
        yield project


def scored(strategy: str, statistic: str = "") -> Callable[[ProjectFolder], Any]:
    """Scores the pool for a strategy, by a statistic if it takes several."""
    options = {"statistic": statistic} if statistic else {}

    def values(project: ProjectFolder) -> Any:
        project.settings = replace(project.settings, strategy=PluginChoice(strategy, options))
        table = score.score(project, Silent(), strategy).statistics
        return {name: part.tolist() for name, part in table.items()}

    return values


def previewed(project: ProjectFolder) -> Any:
    query.query(project, Budget(2), Silent(), strategy="random_cells")
    files = project.round_folder(newest_fit(project.folder).round).rglob("prelabels/**/*.png")  # type: ignore[union-attr]
    return {path.name: path.read_bytes() for path in files}


def learnt_while_labelling(project: ProjectFolder) -> None:
    model = LiveModel(project, Silent())
    model.take()
    model.learn()


#: The commands that run an encoder; `duplicates` and `audit` without folds compare pictures and labels.
READERS: dict[str, Callable[[ProjectFolder], Any]] = {
    "members": scored("partal", "ensemble"),
    "dropout": scored("bald"),
    "core_set": scored("core_set"),
    "typiclust": scored("typiclust"),
    "equal": scored("equal"),
    "clasp_pe": scored("clasp_pe"),
    "folds": lambda project: fold_evidence(project, 2, Silent())[0],
    "control": lambda project: compare_with_control(project, 6, Silent()).measures,
    "evaluate": lambda project: evaluate_split(project, "train", Silent()),
    "previews": previewed,
    "live": learnt_while_labelling,
}


@pytest.mark.parametrize("reader", READERS)
def test_no_command_encodes_an_image_whose_maps_are_kept(
    warm: ProjectFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str
) -> None:
    results = []
    for kept in (20.0, 0.0):
        seen = counted(monkeypatch)
        with copied(warm, tmp_path / str(kept)) as project:
            backbone = {**project.settings.changes["backbone"], "kept": kept}
            project.settings = replace(
                project.settings, changes={**project.settings.changes, "backbone": backbone}
            )
            results.append(READERS[reader](project))
        assert not (kept and seen), reader
        monkeypatch.undo()
    assert results[0] == results[1]


def aged(path: Path) -> Path:
    """An encoder's file with which no training has begun for a day."""
    os.utime(path, (1, 1))
    return path


def other_encoder(project: ProjectFolder, fit_folder: str = "") -> Path:
    """The old file of another encoder, which a checkpoint in a folder needs, if one is named."""
    network = Encoder(BackboneOptions(name="test_efficientnet", pretrained=False, train="frozen"))
    key = weights_hash(network.given.state_dict())
    path = project.encoders / f"{key}.safetensors"
    save_file(network.given.state_dict(), path)
    if fit_folder:
        done = newest_fit(project.folder)
        assert done
        checkpoint = load(project.inside(done.checkpoint), project.encoders)
        (project.folder / fit_folder).mkdir(parents=True)
        needing = replace(checkpoint, encoder={**checkpoint.encoder, "hash": key})
        save(needing, project.folder / fit_folder / "last.ckpt")
    return aged(path)


@pytest.mark.parametrize(
    "needed", ["", "rounds/0009/fit", "rounds/0002/fit/members/a", "control/seed-1-picks/fit"]
)
def test_an_old_encoder_goes_with_a_new_training_unless_a_checkpoint_needs_it(
    trained: ProjectFolder, tmp_path: Path, needed: str
) -> None:
    with copied(trained, tmp_path / "flat") as project:
        own = aged(encoder_of(project))
        other = other_encoder(project, needed)
        fit.fit(project, Silent())
        assert own.exists() and other.exists() == bool(needed)
        assert verify(project, Silent()).faults == []


def test_an_encoder_that_a_round_no_longer_needs_goes_after_a_day(
    trained: ProjectFolder, tmp_path: Path
) -> None:
    with copied(trained, tmp_path / "flat") as project:
        before = encoder_of(project)
        for days in (0, 1):
            if days:
                aged(before)
            project.settings = replace(project.settings, seed=project.settings.seed + 1)
            done = fit.fit(project, Silent())  # with random weights of another seed
            assert before.exists() == (days == 0) and done.encoder != before.stem


def spoil(project: ProjectFolder) -> None:
    """Damage a checkpoint, which may need any encoder."""
    path = project.folder / "audit/fold-1-of-5/fit/last.ckpt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no checkpoint")


def share(project: ProjectFolder) -> None:
    """Keep the encoders where other runs of a study have theirs."""
    project.settings = replace(project.settings, features=SHARED_FEATURES)
    project.encoders.mkdir()


@pytest.mark.parametrize("change", [spoil, share])
def test_an_encoder_stays_where_others_may_need_it(
    trained: ProjectFolder, tmp_path: Path, change: Callable[[ProjectFolder], None]
) -> None:
    with copied(trained, tmp_path / "study" / "runs" / "flat") as project:
        change(project)
        other = other_encoder(project)
        fit.fit(project, Silent())
        assert other.exists()


def test_killed_while_encoders_are_removed_a_fit_is_recorded_and_the_next_removes_them(
    trained: ProjectFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = newest_fit(trained.folder)
    with copied(trained, tmp_path / "flat") as project:
        other = other_encoder(project)
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr("labelgrid.rounds.model_record.encoder_hash", kill)
            fit.fit(project, Silent())
        assert other.exists() and newest_fit(project.folder) == done
        fit.fit(project, Silent())
        assert not other.exists() and restore(project, newest_fit(project.folder))  # type: ignore[arg-type]


def test_encoders_that_another_process_removes_meanwhile_are_no_fault(
    trained: ProjectFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with copied(trained, tmp_path / "flat") as project:
        other = other_encoder(project)

        def meanwhile(path: Path) -> str:
            other.unlink(missing_ok=True)
            return encoder_hash(path)

        monkeypatch.setattr("labelgrid.rounds.model_record.encoder_hash", meanwhile)
        fit.fit(project, Silent())
        assert not other.exists() and verify(project, Silent()).faults == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"train": "frozen"}, {"train": "frozen", "name": "test_resnet"}),
        ({"train": "frozen"}, {"train": "full", "name": "test_resnet"}),
        ({"train": "full"}, {"train": "frozen"}),
        ({"train": "full"}, {"train": "full", "name": "test_resnet"}),
    ],
    ids=["other frozen", "other that learns", "learnt before", "both learn"],
)
def test_a_round_does_not_go_on_from_the_weights_of_another_encoder(
    made: ProjectFolder, tmp_path: Path, before: dict[str, Any], after: dict[str, Any]
) -> None:
    def recipe(backbone: dict[str, Any]) -> dict[str, Any]:
        training = {**changes()["train"], "restart": False}
        return {**changes(), "train": training, "backbone": {**FROZEN, **backbone}}

    with copied(made, tmp_path / "flat") as project, copied(made, tmp_path / "new") as fresh:
        fit.fit(project, Silent(), changes=recipe(before))
        query.query(project, Budget(2), Silent(), strategy="random_cells", prelabels=False)
        said = Said()
        second = fit.fit(project, said, changes=recipe(after))
        assert fit.fit(fresh, Silent(), changes=recipe(after)).model == second.model
        assert any("The encoder is not that of round" in line for line in said.lines)


def test_a_round_does_not_go_on_from_a_frozen_encoder_with_other_weights(
    made: ProjectFolder, tmp_path: Path
) -> None:
    recipe = changes()
    recipe["train"] = {**recipe["train"], "restart": False}
    recipe["backbone"] = {**FROZEN, "pretrained": True}
    with copied(made, tmp_path / "flat") as project:
        records = []
        for seed in range(2):
            torch.manual_seed(seed)
            file = tmp_path / f"{seed}.safetensors"
            save_file(timm.create_model("test_efficientnet").state_dict(), file)
            said = Said()
            records.append(fit.fit(project, said, changes=recipe, weights=file))
            if not seed:
                query.query(project, Budget(2), Silent(), strategy="random_cells", prelabels=False)
        assert not any("Continuing" in line for line in said.lines)
        _, second = (restore_model(context_of(project), record) for record in records)
        own = Encoder(BackboneOptions(**recipe["backbone"]), file).given.state_dict()
        part = second.network.encoder.given.state_dict()  # type: ignore[union-attr]
        assert weights_hash(part) == weights_hash(own)
