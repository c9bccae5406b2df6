"""Defines the options of each command as a record for Python, command line and page."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any, Literal

from labelgrid.annotate.import_options import Keep
from labelgrid.api.door import Amount, CommandRequest, Cost, Count, Positive
from labelgrid.api.places import Place
from labelgrid.basics.progress import Progress
from labelgrid.ledger.grid import OpenSplit, Split, StateName, Unit

if TYPE_CHECKING:  # most requests are carried out in this process
    from labelgrid.executors.workplace import Workplace
    from labelgrid.rounds.protocol import Protocol

#: One or several paths of files or folders.
Places = Place | Iterable[Place]
#: How images are checked: each is read completely, or none is opened.
Check = Literal["full", "none"]


class PlacedRequest(CommandRequest, on="--on PLACE", kw_only=True):
    """Options of work that can be done elsewhere.

    Args:
        on: the place where the work is done in parts, such as "processes"; see `labelgrid list
            executors`; "": in this process, or with `workers` in processes of this machine.
        workers: the number of parts at a time; 0: with `on`, one per core.
    """

    on: str = ""
    workers: Count = 0

    def workplace(self, preload: str) -> "Workplace":
        """The place where the work is done; processes load the module `preload` first.

        Raises:
            PluginError: there is no such place.
            UsageError: it cannot be used.
        """
        from labelgrid.executors.workplace import workplace_of

        return workplace_of(self.on, self.workers, vars(self).get("shard", 0), preload)


class SpreadRequest(PlacedRequest, shard="--shard N", kw_only=True):
    """Options of a pass over many images.

    Args:
        shard: the number of images in a part; 0: chosen by their number.
    """

    shard: Count = 0


class NewImagesRequest(CommandRequest, holdout="--holdout N|N%", kw_only=True):
    """Options of images that come in.

    Args:
        holdout: the images to hold out for measuring, drawn at random of those that no training
            used: a number or a share ("20%"). Their labels are requested.
        check: "full" reads every image completely first, "none" opens no image (for very many).
        leave_out: go on without images that cannot be read; left-out.txt lists them. So does
            `left_out` of the project.
    """

    holdout: Count | str = "0"
    check: Check = "full"
    leave_out: bool = False


class CreateRequest(
    NewImagesRequest,
    progress="-",
    options="-",
    images="--images PATH",
    tasks="--task",
    changes="--set KEY=VALUE",
    weights="--weights FILE!",
    ledger="--ledger URL",
):
    """The arguments of `Project.create`.

    Args:
        folder: the project's folder; it must not exist, or be empty.
        images: folders, or list files with one path per line; or addresses such as
            s3://bucket/photos/, or of lists of addresses (.txt, .csv, .parquet).
        tasks: NAME[:KEY=VALUE,...], such as depth:scale=0.001 or
            parts:kind=semseg,classes=parts.txt. A `Path` is a TOML file of tasks.
        group: a regular expression on image ids; images for which it matches the same text stay in
            one split.
        recipe: a shipped recipe, or the path of one; `auto`, the command's default: `few` if
            weights of an encoder lie ready, else `small-shared-heads`, the default in Python.
        changes: keys of the recipe and their values, table by table, such as train.steps=2000.
        strategy: the strategy that picks cells; see `labelgrid list strategies`.
        options: the strategy's options.
        weights: a local file of backbone weights; None: they are fetched if the recipe asks for
            pretrained ones.
        seed: the seed of every random draw.
        ledger: the URL of a PostgreSQL database without a password that keeps the ledger, such as
            postgresql+psycopg://USER@HOST/DATABASE; empty: in a file of the project.
        progress: receives the progress of long work, in this and all later calls.
    """

    folder: Place
    images: Places
    tasks: Places
    _: KW_ONLY
    group: str = ""
    recipe: str = ""
    changes: Mapping[str, Any] | None = None
    strategy: str = "joint"
    options: Mapping[str, Any] | None = None
    weights: Place | None = None
    seed: int = 0
    ledger: str = ""
    progress: Progress | None = None


class AddRequest(NewImagesRequest, images="--images PATH", tasks="--task"):
    """The arguments of `Project.add`.

    Args:
        images: folders, or list files with one path per line, or the address of either, such as
            s3://bucket/photos/.
        tasks: NAME[:KEY=VALUE,...], such as depth:scale=0.001. A `Path` is a TOML file of tasks.
    """

    images: Places = ()
    tasks: Places = ()


class ChangeTaskRequest(
    CommandRequest,
    name="TASK",
    values="--set KEY=VALUE",
    classes="--class NAME",
    merge="--merge CLASS=INTO",
):
    """The arguments of `Project.change_task`.

    Args:
        name: the task's name.
        values: new values by key: cost, classes or an option of its label files; null, in Python
            None, takes an option back.
        classes: the names of classes to add at the end.
        merge: a class, and the class that its pixels are counted as.
        complete: the existing labels show all classes, including classes that were added later.
            Otherwise they say nothing about these.
    """

    name: str
    values: Mapping[str, Any] | None = None
    _: KW_ONLY
    classes: Iterable[str] = ()
    merge: Mapping[str, str] | None = None
    complete: bool = False


class AnyImportRequest(
    CommandRequest, format="--format --from", map="--map NAMES", rest="--rest CLASS", kw_only=True
):
    """Options of labels that come in, from every source.

    Args:
        format: the labelling tool or data set layout; see `labelgrid list tools` and `list
            layouts`; None: the tool that recognises the labels, else "folder".
        limit: import the labels of this number of images only, drawn at random; 0: all.
        seed: the seed of the draw of `limit`; None: 0.
        task: the task of all labels, where their names do not say it; empty: the task that knows
            the labels' classes.
        map: what a tool's names of classes mean, "car=vehicle,person=ignore", or a file with such a
            pair a line; "ignore" is not labelled; kept for later imports, in [names] of the
            settings. A dictionary says the same.
        rest: the class of pixels that no region of a tool covers, or "ignore": not labelled. The
            choice is kept for the task and the tool, in [rest] of the settings; "none" removes it;
            empty: the kept choice, else not labelled.
        keep: the answer that counts where a tool has several for one image; None: they are refused.
        accept: import labels although they look wrong beside earlier ones, predictions or other
            labels of the image.
        leave_out: go on without entries and files that are wrong; they are named. The result has
            them as `left_out`; a cell whose entries are wrong in part gets no label.
        dry_run: say what would be imported and why it would be refused, and import nothing.
    """

    needs = (
        ("seed", "limit"),
        ("cost", "supplier"),
    )
    alone = (("supplier", ("split", "replace")),)
    format: str | None = None
    limit: Count = 0
    seed: int | None = None
    task: str = ""
    map: Mapping[str, str] | str | None = None
    rest: str = ""
    keep: Keep | None = None
    accept: bool = False
    leave_out: bool = False
    dry_run: bool = False


class ImportRequest(AnyImportRequest, labels="[LABELS]..."):
    """The arguments of `Project.import_labels`.

    Args:
        labels: a labelling tool's file, zip or folder, a folder of labels, an answered request or a
            published data set, or the address of one. Several are imported together or not at all.
        split: put the labels' images in this split.
        replace: replace labels that differ; the old versions are kept.
    """

    moved = (
        ("supplier", "import_supplied()"),
        ("cost", "import_supplied()"),
        ("url", "import_answers()"),
        ("token_file", "import_answers()"),
    )
    labels: Places
    _: KW_ONLY
    split: OpenSplit | None = None
    replace: bool = False


class ImportSuppliedRequest(AnyImportRequest, labels="[LABELS]...", supplier="--supplier NAME"):
    """The arguments of `Project.import_supplied`.

    Args:
        labels: as in `Project.import_labels`.
        supplier: whose labels these are: cheap, and not true; they label no cell. A training uses
            them as far as the recipe trusts them.
        cost: what a label of the supplier costs; None: as it is declared, otherwise 0.
    """

    labels: Places
    supplier: str
    _: KW_ONLY
    cost: Cost | None = None


class SupplyRequest(
    SpreadRequest,
    supplier="NAME",
    model="--model FILE|DIR",
    tasks="--task TASK=OUTPUT",
    settings="--set KEY=VALUE",
    map="--map NAMES",
):
    """The arguments of `Project.supply`.

    Args:
        supplier: whose labels these will be, as of `import_supplied`.
        model: what the maker runs: of `onnx` the TOML file beside a model, of `project` the folder
            of another project.
        maker: what makes the labels; see `labelgrid list makers`.
        tasks: the output of the model, or the task of the other project, by task; empty: names
            decide.
        settings: options of the maker, such as up_to=scale-shift.
        map: what names of the model's classes mean, "diningtable=table,tvmonitor=television", or a
            file with such a pair a line; classes that no name fits are not labelled. A dictionary
            says the same.
        cost: what a label of the supplier costs; None: as it is declared, otherwise 0.
        limit: the most images to label now, drawn at random; 0: all that lack a label.
        dry_run: make the label of one image, say how long all would take, and keep nothing.
    """

    supplier: str
    model: Place
    _: KW_ONLY
    maker: str = "onnx"
    tasks: Mapping[str, str] | None = None
    settings: Mapping[str, Any] | None = None
    map: Mapping[str, str] | str | None = None
    cost: Cost | None = None
    limit: Count = 0
    dry_run: bool = False


class ImportAnswersRequest(AnyImportRequest):
    """The arguments of `Project.import_answers`.

    Args:
        url: the labelling tool's server, such as http://localhost:8080.
        token_file: a file with the access token of one of the server's users, alone.
        split: put the labels' images in this split.
        replace: replace labels that differ; the old versions are kept.
        supplier: who gave the answers, if they are not true; as of `Project.import_supplied`.
        cost: what a label of the supplier costs; None: as it is declared, otherwise 0.
    """

    url: str
    token_file: Place | None = None
    _: KW_ONLY
    split: OpenSplit | None = None
    replace: bool = False
    supplier: str = ""
    cost: Cost | None = None


class FitRequest(
    CommandRequest, changes="--set KEY=VALUE", weights="--weights FILE!", kw_only=True
):
    """The arguments of `Project.fit`.

    Args:
        recipe: replaces the project's recipe for this training: a shipped one, or the path of a
            file.
        epochs: replaces the recipe's length.
        weights: a local file of backbone weights that replaces the project's.
        changes: keys of the recipe and their values for this training, such as train.steps=2000.
            `fit.json` keeps them.
        keep: write `changes` and `epochs` to labelgrid.toml first, for all later trainings.
        devices: the number of processes that divide each batch: one for each GPU, or each on a part
            of the processors. They show their progress on stderr.
    """

    recipe: str = ""
    epochs: Positive | None = None
    weights: Place | None = None
    changes: Mapping[str, Any] | None = None
    keep: bool = False
    devices: Positive = 1


class ScoreRequest(SpreadRequest, predictions="--predictions FOLDER"):
    """The arguments of `Project.score`.

    Args:
        strategy: replaces the project's strategy, which says what is computed; see `labelgrid list
            strategies`.
        predictions: a folder with the predictions of a network of your own, in place of a training.
            It is the newest model from now on.
    """

    strategy: str = ""
    _: KW_ONLY
    predictions: Place | None = None


class QueryRequest(
    CommandRequest,
    tasks="--task TASK",
    control="--control N%",
    save="--save FILE",
    picks="--picks FILE",
    class_name="--class CLASS",
    like="--like IMAGE",
):
    """The arguments of `Project.query`.

    Args:
        budget: how much to spend, in `unit`; None: what `pairs` and `audit` take.
        unit: "labels", "images" (all missing labels of one) or "cost".
        strategy: replaces the project's strategy; see `labelgrid list strategies`.
        tasks: the tasks whose cells may be picked; empty: all.
        dry_run: show the picks and request nothing.
        new: request further cells while the last ones are unanswered.
        pairs: the number of training images to draw at random, to measure relations on: first of
            all, their missing labels of all tasks that relations connect are requested.
        audit: the number of training cells to draw at random of those of each supplier and task, to
            measure suppliers on. Their missing labels are requested first of all, too.
        control: a share of the rest of the budget to spend on random cells, such as "20%".
        prelabels: write the model's predictions for the picks, for annotators.
        save: keep the picks of a dry run in this file.
        picks: request exactly the picks of such a file, if the pool has not changed since. Nothing
            but `prelabels` is given beside it.
        class_name: pick images with the largest share of this class in the newest model's
            predictions, given as a name or as "TASK:CLASS". Without `tasks`, labels of the class's
            task are asked for. It picks in place of a strategy.
        like: pick the images most similar to this image, given as an id or as the path of a file.
            It needs no model, and picks in place of a strategy.
    """

    needs = (("save", "dry_run"),)
    alone = (
        (
            "picks",
            (
                "budget",
                "unit",
                "strategy",
                "tasks",
                "dry_run",
                "new",
                "pairs",
                "audit",
                "control",
                "save",
                "class_name",
                "like",
            ),
        ),
    )
    budget: float | None = None
    unit: Unit = "labels"
    _: KW_ONLY
    strategy: str = ""
    tasks: Sequence[str] = ()
    dry_run: bool = False
    new: bool = False
    pairs: Count = 0
    audit: Count = 0
    control: str | Cost = "0"
    prelabels: bool = True
    save: Place | None = None
    picks: Place | None = None
    class_name: str = ""
    like: Place = ""


class ExportRequest(CommandRequest, local_files="--local-files FOLDER"):
    """The arguments of `Project.export`.

    Args:
        out: the folder to write; None: one per round, in the project; of labels, the project's
            `export`.
        to: the labelling tool; see `labelgrid list tools`. Requests that the tool does not take,
            such as depth for a tool of regions, are left out, and counted in the result.
        round: export the requests of this round only; 0: those of the held-out images.
        task: export the requests of this task, or of these, only; empty: of all.
        labels: write all labels instead of requests.
        link: link to the images instead of copying them.
        url: a labelling tool's server, which gets the requests instead of a folder.
        token_file: a file with the access token of one of the server's users, alone.
        local_files: a folder of the server's own machine from which the server serves images: they
            are written to `out` below it; None: they are uploaded.
    """

    alone = (("labels", ("round", "task", "link", "url", "token_file", "local_files")),)
    out: Place | None = None
    _: KW_ONLY
    to: str = "folder"
    round: Count | None = None
    task: str | Iterable[str] = ""
    labels: bool = False
    link: bool = False
    url: str = ""
    token_file: Place | None = None
    local_files: Place | None = None


class CancelRequest(CommandRequest, cells="[CELLS]"):
    """The arguments of `Project.cancel`.

    Args:
        cells: cells as IMAGE:TASK, or request ids.
        round: cancel all open requests of this round.
        requeue: ask again for skipped cells; those of held-out images are requested. So are their
            missing cells that are named, or all with round 0.
    """

    cells: Iterable[str] = ()
    _: KW_ONLY
    round: Count | None = None
    requeue: bool = False


class PredictRequest(SpreadRequest, images="IMAGES"):
    """The arguments of `Project.predict`.

    Args:
        images: a folder of images, or one image; or the address of either, or of a list.
        out: the folder for the predictions, as OUT/TASK/IMAGE.
        known: a folder of known labels to feed to the network.
        soft: also write class probabilities and the like, as .npz.
        overlay: also draw each photograph with each prediction over it, as
            OUT/overlays/TASK/IMAGE.jpg.
        relations: derive predictions from other predictions by relations that are on: "missing":
            for tasks that the network did not learn; "mean": for all tasks, averaged with the
            network's own predictions; "none".
        leave_out: go on without images that cannot be read; left-out.txt lists them. So does
            `left_out` of the project.
    """

    images: Place
    out: Place
    _: KW_ONLY
    known: Place | None = None
    soft: bool = False
    overlay: bool = False
    relations: Literal["none", "missing", "mean"] = "missing"
    leave_out: bool = False


class ExportModelRequest(CommandRequest, out="--out FILE"):
    """The arguments of `Project.export_model`.

    Args:
        out: the file; None: `model.onnx` in the project.
        to: the format, ONNX; it needs the extra `onnx`.
        known: tasks whose labels are inputs of the network, too. One of two stages improves the
            others.
    """

    out: Place | None = None
    _: KW_ONLY
    to: Literal["onnx"] = "onnx"
    known: Iterable[str] = ()


class ProtocolRequest(
    CommandRequest,
    crop="--crop CROP",
    min_depth="--min-depth METRES",
    max_depth="--max-depth METRES",
    kw_only=True,
):
    """Options of a measurement by a published protocol.

    Args:
        crop: the part of each image that counts: eigen-nyu, eigen-kitti, garg-kitti, or
            TOP:BOTTOM,LEFT:RIGHT in pixels or percent.
        min_depth: labels at or below this depth in metres do not count, and predictions are raised
            to it; None: no limit.
        max_depth: labels at or above this depth in metres do not count, and predictions are lowered
            to it; None: no limit. With a crop or a range, nothing is written for the report.
    """

    crop: str = ""
    min_depth: Cost | None = None
    max_depth: Amount | None = None

    @property
    def protocol(self) -> "Protocol":
        """The protocol of the measurement."""
        from labelgrid.rounds.protocol import Protocol

        return Protocol(crop=self.crop, least=self.min_depth, most=self.max_depth)


class EvaluateRequest(ProtocolRequest, labels="[LABELS]", predictions="--predictions FOLDER"):
    """The arguments of `Project.evaluate`.

    Args:
        labels: a folder of labels.
        split: without `labels`, the project's split to measure on; None: the held-out images.
        predictions: measure the predictions in this folder, not the newest model's.
    """

    labels: Place | None = None
    _: KW_ONLY
    split: Split | None = None
    predictions: Place | None = None


class ReportRequest(CommandRequest, plots="--plots FOLDER"):
    """The arguments of `Project.report`.

    Args:
        out: the HTML file; None: `report.html` in the folder.
        plots: a folder for each figure as SVG and PNG.
        pictures: predict the shown cells that have no pictures yet; loads the model.
    """

    out: Place | None = None
    _: KW_ONLY
    plots: Place | None = None
    pictures: bool = False


class LiveRequest(CommandRequest, kw_only=True):
    """What `labelgrid live` is asked.

    Args:
        minutes: end after so long without a new label.
        server: the number of a process to end with; 0: none.
    """

    minutes: Amount = 15.0
    server: Count = 0


class AuditRequest(SpreadRequest, kw_only=True):
    """The arguments of `Project.audit`.

    Args:
        folds: the networks to train by the project's recipe, each without a fold of the images
            whose labels it then judges; 0: none, which takes seconds for hundreds of labels.
        all: show labels that somebody confirmed as right, too.
    """

    folds: Count = 0
    all: bool = False


class RelateRequest(PlacedRequest, kw_only=True):
    """The arguments of `Project.relate`.

    Args:
        write: write the trust into labelgrid.toml, and the field of view of unknown cameras into
            camera.toml.
    """

    write: bool = False


class ControlRequest(CommandRequest, kw_only=True):
    """The arguments of `Project.control`.

    Args:
        seeds: the number of trainings on each of the two; 6 at least.
    """

    seeds: Positive = 6


class TimeRequest(CommandRequest, kw_only=True):
    """The arguments of `Project.time`.

    Args:
        own_recipe: measure only the project's recipe.
    """

    own_recipe: bool = False


class AdviseRequest(CommandRequest, kw_only=True):
    """The arguments of `Project.advise`.

    Args:
        budget: the cost that the purchases are compared at; None: that of the last round.
    """

    budget: Amount | None = None


class SkipRequest(CommandRequest, cells="CELLS"):
    """The arguments of `Project.skip`.

    Args:
        cells: requested cells as IMAGE:TASK, or request ids.
        why: the reason, one line.
    """

    cells: Iterable[str]
    _: KW_ONLY
    why: str = ""


class SetSplitRequest(CommandRequest, split="SPLIT", images="[IMAGES]..."):
    """The arguments of `Project.set_split`.

    Args:
        split: the split: train, val or test.
        images: image ids; empty: all that are in no split.
        was: only images of this unknown split; empty: of any.
    """

    split: OpenSplit
    images: Iterable[str] = ()
    _: KW_ONLY
    was: str = ""


class UndoRequest(CommandRequest, kw_only=True):
    """The arguments of `Project.undo`.

    Args:
        dry_run: say what would be undone, and change nothing.
        operation: undo only if the last operation has this number in the log; None: undo the last
            operation, whatever its number.
    """

    dry_run: bool = False
    operation: Positive | None = None


class CellsRequest(CommandRequest, kw_only=True):
    """The arguments of `Project.cells`.

    Args:
        state: only the cells in this state; None: all, and those without a label too.
        task: only the cells of this task; None: all tasks.
        split: only the cells of this split's images; None: all.
        round: only the cells that this round asked for; 0: no round; None: all.
        order: the order of the images: changed, loss/TASK, share/TASK:CLASS (the largest predicted
            share first), or a scored statistic; empty: by their ids.
    """

    state: StateName | None = None
    task: str | None = None
    split: Split | None = None
    round: Count | None = None
    order: str = ""
