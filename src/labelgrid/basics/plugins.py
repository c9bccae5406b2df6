"""Finds plug-ins: the files in plug-in folders, and the entry points of installed packages.

Their options are loaded without the rest of the module.
"""

import ast
import difflib
import importlib
import pkgutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from functools import lru_cache
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

from labelgrid.basics.errors import PluginError
from labelgrid.basics.trusted_code import check_trusted, is_trusted

if TYPE_CHECKING:
    from labelgrid.basics.entry_points import InstalledPlugin


@dataclass(frozen=True)
class PluginChoice:
    """A plug-in and its options.

    Args:
        name: a plug-in of its folder, or your own: "package.module:object".
        options: the options of the plug-in.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Folder:
    """A folder in which every module is a plug-in.

    Args:
        package: the folder's package below `labelgrid`.
        noun: the word for a plug-in of the folder, for messages.
        members: the attributes that a built plug-in has, and by which it is recognised.
    """

    package: str
    noun: str
    members: tuple[str, ...]


#: The folders of plug-ins by the names that users know them by.
FOLDERS: dict[str, Folder] = {
    "kinds": Folder(
        "tasks.kinds", "kind of task", ("activate", "pixel_loss", "to_target", "moments", "metrics")
    ),
    "formats": Folder(
        "formats.codecs",
        "label format",
        ("EXTENSIONS", "CHANNELS", "DTYPE", "Options", "read", "write", "describe"),
    ),
    "relations": Folder(
        "relations.derivations", "relation", ("reads", "gives", "needs_camera", "between")
    ),
    "partitions": Folder(
        "regions.makers", "maker of partitions", ("follows_image", "version", "make")
    ),
    "layouts": Folder("data.layouts", "data set layout", ("images", "label")),
    "networks": Folder("nets.networks", "network", ("encode", "decode", "predict")),
    "balance": Folder("train.balance", "balancer", ("backward",)),
    "terms": Folder("train.terms", "term", ("loss", "views", "prepare")),
    "statistics": Folder("score.statistics", "statistic", ("axis", "scope")),
    "strategies": Folder("select.strategies", "strategy", ("needs", "select")),
    "tools": Folder("annotate.tools", "labelling tool", ("receive",)),
    "executors": Folder(
        "executors.places", "executor", ("workers", "share", "start", "wait", "stop")
    ),
    "makers": Folder("suppliers.makers", "maker of labels", ("files", "declared", "make")),
    "analyses": Folder(
        "lab.simulation.analyses",
        "analysis",
        ("kinds", "within", "needs", "findings", "drawings"),
    ),
}


#: Modules that plug-ins may name, and their names now.
RENAMED = {
    "advice.curve_advice": "advice.advise",
    "advice.further_fits": "advice.extra_trainings",
    "advice.purchases": "advice.buying_advice",
    "advice.relation_advice": "advice.advise",
    "annotate.joined_answers": "annotate.answers",
    "annotate.label_studio_exchange": "annotate.tools.label_studio",
    "annotate.outer_folders": "annotate.unpacking",
    "data.options": "data.data_options",
    "data.supplied": "data.supplied_source",
    "drawings.bars": "drawings.charts",
    "evidence.common_shift": "evidence.edge_agreement",
    "evidence.part_excess": "evidence.part_doubts",
    "evidence.part_surprise": "evidence.part_context",
    "executors.placement": "executors.workplace",
    "executors.spread": "executors.pieces",
    "executors.spreading": "executors.workplace",
    "images.tiff": "images.tiff_checks",
    "lab.reports.spending": "lab.reports.study_page",
    "lab.reports.study_summary": "lab.reports.study_page",
    "lab.scenes.denoising": "lab.scenes.render",
    "lab.scenes.maps": "lab.scenes.write_scenes",
    "lab.scenes.objects": "lab.scenes.scene_objects",
    "lab.scenes.write": "lab.scenes.write_scenes",
    "lab.simulation.dataset_classes": "lab.simulation.study_request",
    "lab.simulation.jobs": "lab.simulation.run_jobs",
    "lab.simulation.oracle": "lab.simulation.campaign",
    "lab.simulation.own_values": "lab.simulation.own_labels",
    "lab.simulation.plan": "lab.simulation.study_plan",
    "lab.simulation.request": "lab.simulation.study_request",
    "lab.simulation.results": "lab.simulation.study_results",
    "lab.simulation.study": "lab.simulation.study_recipe",
    "lab.simulation.study_lock": "lab.simulation.run_study",
    "ledger.class_lists": "ledger.moves",
    "ledger.undo": "ledger.undo_moves",
    "nets.area_means": "nets.blocks",
    "nets.dropout": "nets.keyed_dropout",
    "nets.options": "nets.encoder_options",
    "nets.propagation": "nets.networks.mti_net",
    "nets.pyramid": "nets.backbones",
    "pixel.confidence": "pixel.class_confidence",
    "pixel.matching": "pixel.boundaries",
    "project.cells.pairs": "project.cells.drawn_pairs",
    "project.class_shares": "project.image_order",
    "project.colour_map": "project.task_spec",
    "recipes.schema": "recipes.recipe",
    "relations.agreement": "relations.true_agreement",
    "relations.camera_check": "relations.relation",
    "report.blocks": "report.page_blocks",
    "report.page": "report.html_page",
    "report.uncertainty": "report.project_view",
    "report.write": "report.write_report",
    "rounds.asked_tasks": "rounds.searches",
    "rounds.blocks": "rounds.channel_blocks",
    "rounds.class_search": "rounds.searches",
    "rounds.duplicates": "rounds.lookalikes",
    "rounds.example": "rounds.searches",
    "rounds.fillers": "rounds.filled_labels",
    "rounds.heldout_examples": "rounds.model_record",
    "rounds.image_cameras": "rounds.context",
    "rounds.kept_model": "rounds.model_cache",
    "rounds.kept_scores": "rounds.searches",
    "rounds.prediction_writer": "rounds.predictor",
    "score.fit": "score.fit_statistics",
    "score.options": "score.measure_choices",
    "select.classes": "select.class_statistic",
    "select.task_gains": "select.strategies.joint",
    "select.uncertainty": "select.uncertainty_options",
    "storage.cache": "storage.object_cache",
    "storage.contents": "storage.known_contents",
    "storage.settings": "storage.store_settings",
    "suppliers.trust_rows": "suppliers.trust_jobs",
    "tasks.axes_check": "tasks.kinds.normals",
    "train.batch_losses": "train.group",
    "train.colours": "train.colour_operations",
    "train.crops": "train.crop_boxes",
    "train.cross_map_options": "train.term_options",
    "train.divergence": "train.loop",
    "train.draws": "train.step_draws",
    "train.evaluate": "train.evaluation",
    "train.joint_options": "train.term_options",
    "train.least_norm": "train.balance.mgda",
    "train.model": "train.trained_model",
    "train.options": "train.train_options",
    "train.own_optimisers": "train.active_terms",
    "train.preparation_state": "train.terms.x_task",
    "train.ranges": "train.term_options",
}


def names(folder: str) -> list[str]:
    """List the plug-ins of a folder in alphabetical order, without importing them.

    Example:
        >>> "pad_net" in names("networks")
        True
    """
    modules: set[str] = set()
    for path in _paths(folder):
        modules.update(_modules(str(path), path.stat().st_mtime_ns))
    return sorted(name for name in modules if not name.startswith("_"))


def _paths(folder: str) -> list[Path]:
    """The paths of a folder of plug-ins; several if its package was extended.

    There is none if the folder is a part of the laboratory and that was left out.
    """
    package_name = FOLDERS[folder].package
    if package_name.startswith("lab.") and not has_laboratory():
        return []
    package = importlib.import_module(f"labelgrid.{package_name}")
    return [Path(path) for path in package.__path__]


def has_laboratory() -> bool:
    """Whether this labelgrid has the laboratory: studies, reports and scenes."""
    laboratory = find_spec("labelgrid.lab")
    # A folder of compiled files may be left, which has no origin.
    return laboratory is not None and laboratory.origin is not None


@lru_cache
def _modules(path: str, changed: int) -> tuple[str, ...]:
    """The modules in a folder, listed again only after a change: studies ask thousands of times."""
    return tuple(module.name for module in pkgutil.iter_modules([path]))


def module(folder: str, name: str) -> ModuleType:
    """Import the module of the plug-in `name`, or of `"package.module:object"`.

    Raises:
        PluginError: there is no such plug-in (the message lists the folder and the nearest match),
            or it cannot be imported or is not trusted; see `labelgrid.basics.trusted_code`.
    """
    path = _path(folder, name)
    if not is_own(folder, name):
        return importlib.import_module(path)
    try:
        return importlib.import_module(path)
    except (Exception, SystemExit) as error:  # a user's module may raise anything
        raise _import_error(name, error) from error


def resolve(folder: str, name: str) -> Any:
    """The `build` of the plug-in `name`, or the object `"package.module:object"`.

    Raises:
        PluginError: there is no such plug-in, or it cannot be imported.

    Example:
        >>> resolve("networks", "pad_net").__name__
        'build'
    """
    return resolve_in_folders((folder,), name)


def resolve_in_folders(folders: Sequence[str], name: str) -> Any:
    """As `resolve`, in the first of several folders that has the plug-in.

    Raises:
        PluginError: no folder has it (the message lists the folders and the nearest match), or it
            cannot be imported.
    """
    for folder in folders:
        if ":" in name or is_known(folder, name):
            source = module(folder, name)
            break
    else:
        raise _unknown_error(folders, name)
    try:
        return getattr(source, target_of(folder, name).partition(":")[2])
    except AttributeError as error:
        raise _import_error(name, error) from error


def create(folder: str, name: str, *arguments: Any) -> Any:
    """Build a plug-in, and check its interface.

    Raises:
        PluginError: there is no such plug-in, it cannot be built, or the built object lacks a
            member of the interface.

    Example:
        >>> create("tools", "folder").send.__name__
        'send'
    """
    return call(folder, name, resolve(folder, name), *arguments)


def call(folder: str, name: str, build: Any, *arguments: Any) -> Any:
    """Build a plug-in by its `build`, and check the members of the interface.

    Raises:
        PluginError: it lacks one, or an own plug-in cannot be built.
    """
    try:
        built = build(*arguments)
    except (TypeError, AttributeError, SystemExit) as error:
        # An object that is no plug-in raises these; others are errors of a plug-in's code.
        if not is_own(folder, name):
            raise
        noun = FOLDERS[folder].noun
        raise PluginError(
            f"'{name}' cannot be built as a {noun}: {type(error).__name__}: {error}.",
            next_step="Name the plug-in's `build`, not another object; docs/plugins.md describes "
            "its arguments.",
        ) from error
    return check_plugin(folder, name, built)


def check_plugin(folder: str, name: str, built: Any) -> Any:
    """Return a built plug-in with all members of the folder's interface.

    Raises:
        PluginError: it lacks one.
    """
    missing = [member for member in FOLDERS[folder].members if not hasattr(built, member)]
    if missing:
        raise PluginError(
            f"'{name}' is no {FOLDERS[folder].noun}: what it builds has no `{missing[0]}`.",
            next_step="docs/plugins.md describes the interface.",
        )
    return built


def options_class(folder: str, name: str) -> Any:
    """The dataclass `Options` of a plug-in.

    If its module is not imported yet, only `Options` is executed. So the options of a network are
    checked without importing torch, which its module imports.

    Raises:
        PluginError: there is no such plug-in, it cannot be imported, or it has no options.

    Example:
        >>> options_class("networks", "pad_net")().width
        256
    """
    path = _path(folder, name)
    source = sys.modules.get(path) or _load_options(path, name) or module(folder, name)
    if not is_dataclass(getattr(source, "Options", None)):
        raise PluginError(
            f"The {FOLDERS[folder].noun} '{name}' takes no options: its module has no dataclass "
            "`Options`.",
            next_step="Remove its options; for your own plug-in, add a frozen dataclass "
            "`Options`, empty if need be.",
        )
    return source.Options


def _load_options(path: str, name: str) -> ModuleType | None:
    """A module with the part of a file that defines `Options`.

    None if the file does not define it.
    """
    part_name = f"{path}__options"  # in the same package, so that relative imports work
    try:
        spec = find_spec(path)
        if spec is None or not isinstance(spec.loader, SourceFileLoader):
            return None
        about = Path(spec.loader.path).stat()
        version = (about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
        part = _part_of_file(part_name, spec.loader.path, version)
        sys.modules[part_name] = part  # another file of this name may have been there
    except (Exception, SystemExit) as error:  # a user's module may raise anything
        raise _import_error(name, error) from error
    if not hasattr(part, "Options"):
        return None
    return part


@lru_cache(maxsize=256)
def _part_of_file(part_name: str, path: str, _version: tuple[int, ...]) -> ModuleType:
    loader = _OptionsLoader(part_name, path)
    part = module_from_spec(ModuleSpec(part_name, loader, origin=path))
    sys.modules[part_name] = part
    loader.exec_module(part)
    return part


class _OptionsLoader(SourceFileLoader):
    """Loads the class `Options` of a file with its imports, constants and helpers."""

    def get_code(self, fullname: str) -> CodeType:
        """Compile that part of the source; Python's cached bytecode is of the whole file."""
        tree = ast.parse(self.get_data(self.path), self.path)
        tree.body = _needed_statements(tree.body)
        code: CodeType = self.source_to_code(tree, self.path)
        return code


def _needed_statements(statements: list[ast.stmt]) -> list[ast.stmt]:
    """The statements that `Options` needs.

    Needed are the statements that bind the name, and the statements that bind a name used in a
    needed statement.
    """
    wanted = {"Options", "annotations", "*"}  # the last two: of __future__, and of any import
    before = set[str]()
    while wanted != before:
        before = set(wanted)
        parts = []
        for statement in statements:
            part = _part(statement, before)
            if part is not None:
                parts.append(part)
                wanted |= {node.id for node in ast.walk(part) if isinstance(node, ast.Name)}
    return parts


def _part(statement: ast.stmt, wanted: set[str]) -> ast.stmt | None:
    """The statement, an import reduced to the wanted names; None if it binds none of them."""
    if not isinstance(statement, ast.Import | ast.ImportFrom):
        if wanted.isdisjoint(_bound_names(statement)):
            return None
        return statement
    aliases = [alias for alias in statement.names if _alias(alias) in wanted]
    if not aliases:
        return None
    fields = dict(ast.iter_fields(statement))
    fields["names"] = aliases
    return ast.copy_location(type(statement)(**fields), statement)


def _bound_names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        yield node.name
    elif isinstance(node, ast.alias):
        yield _alias(node)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    else:
        for child in ast.iter_child_nodes(node):
            yield from _bound_names(child)


def _alias(alias: ast.alias) -> str:
    return (alias.asname or alias.name).partition(".")[0]


def is_own(folder: str, name: str) -> bool:
    """Whether a name means code from outside the package.

    Such code is named as "package.module:object", or comes with an installed package.

    Example:
        >>> is_own("networks", "mine:build"), is_own("networks", "pad_net")
        (True, False)
    """
    return ":" in name or name not in names(folder)


def is_known(folder: str, name: str) -> bool:
    """Whether labelgrid or an installed package has a plug-in of a name."""
    return name in names(folder) or name in _installed(folder)


def target_of(folder: str, name: str) -> str:
    """The code of a plug-in, as "package.module:object".

    Raises:
        PluginError: there is no such plug-in, or two packages bring it.

    Example:
        >>> target_of("networks", "pad_net")
        'labelgrid.nets.networks.pad_net:build'
    """
    if ":" in name:
        return name
    if name in names(folder):
        return f"labelgrid.{FOLDERS[folder].package}.{name}:build"
    return _installed_plugin(folder, name).target


def _installed(folder: str) -> "dict[str, list[InstalledPlugin]]":
    from labelgrid.basics.entry_points import installed_plugins  # reads each package's metadata

    return installed_plugins(folder)


def _installed_plugin(folder: str, name: str) -> "InstalledPlugin":
    candidates = _installed(folder).get(name, [])
    if not candidates:
        raise _unknown_error((folder,), name)
    if len(candidates) > 1:
        packages = " and ".join(one.origin for one in candidates)
        raise PluginError(
            f"Two packages bring the {FOLDERS[folder].noun} '{name}': {packages}.",
            next_step="Name the code of the one that you mean, or remove the other package.",
            unchanged="None of them was run.",
        )
    _refuse_faulty(candidates[0])
    return candidates[0]


def _refuse_faulty(plugin: "InstalledPlugin") -> None:
    if plugin.fault:
        raise PluginError(
            f"'{plugin.name}' of the package {plugin.package} {plugin.fault}.",
            unchanged="It was not run.",
        )


def _path(folder: str, name: str) -> str:
    """The module of a plug-in, not imported; checks the trust in its code."""
    if ":" in name:
        _refuse_unusable_name(folder, name)
        return check_trusted(name)
    if name in names(folder):
        return f"labelgrid.{FOLDERS[folder].package}.{name}"
    plugin = _installed_plugin(folder, name)
    return check_trusted(plugin.target, f"'{name}' of the package {plugin.origin}")


def _refuse_unusable_name(folder: str, name: str) -> None:
    """Refuse an installed plug-in with a colon in its name, unless the name is trusted code."""
    if not is_trusted(name.partition(":")[0]):
        for plugin in _installed(folder).get(name, ()):
            _refuse_faulty(plugin)


def _unknown_error(folders: Sequence[str], name: str) -> PluginError:
    nouns = " or ".join(FOLDERS[folder].noun for folder in folders)
    lists: list[str] = []
    every: list[str] = []
    for folder in folders:
        plugins = sorted({*names(folder), *_usable(folder)})
        every += plugins
        lists.append(f"{'the' if lists else 'The'} {folder} are: {', '.join(plugins)}")
    hint = ""
    near = difflib.get_close_matches(name, every, 1)
    if near:
        hint = f"Did you mean '{near[0]}'? "
    return PluginError(
        f"There is no {nouns} '{name}'.",
        next_step=f"{hint}{'; '.join(lists)}; name your own code as 'package.module:name'.",
    )


def _usable(folder: str) -> list[str]:
    """The names of installed plug-ins, without unusable plug-ins."""
    usable = []
    for name, plugins in _installed(folder).items():
        if not all(plugin.fault for plugin in plugins):
            usable.append(name)
    return usable


def _import_error(name: str, error: BaseException) -> PluginError:
    reason = str(error)
    if not isinstance(error, ImportError | AttributeError):
        reason = f"{type(error).__name__}: {error}"
    new_name = _new_module(getattr(error, "name", None) or "")
    next_step = "Check the spelling and PYTHONPATH."
    if new_name and isinstance(error, ModuleNotFoundError):
        next_step = f"In this version of labelgrid that module is `{new_name}`."
    return PluginError(f"'{name}' cannot be imported: {reason}.", next_step=next_step)


def _new_module(name: str) -> str:
    root = Path(__file__).parents[1]
    last = name.rpartition(".")[2]
    if not name.startswith(f"{root.name}.") or not last.isidentifier():
        return ""
    renamed = RENAMED.get(name.removeprefix(f"{root.name}."))
    if renamed:
        return f"{root.name}.{renamed}"
    files = sorted([*root.rglob(f"{last}.py"), *root.rglob(f"{last}/__init__.py")])
    paths = [file.relative_to(root.parent).with_suffix("").parts for file in files]
    names = [".".join(parts).removesuffix(".__init__") for parts in paths]
    if len(names) != 1:
        return ""
    return names[0]


def describe(folder: str) -> dict[str, str]:
    """The first lines of the docstrings of a folder's plug-ins, without imports.

    Plug-ins of installed packages follow, with the name of the package.
    """
    bases = _paths(folder)
    lines = {}
    if bases:
        lines = {name: _first_line(bases[0] / f"{name}.py") for name in names(folder)}
    for name, plugins in _installed(folder).items():
        packages = ", ".join(one.origin for one in plugins)
        if name in lines:
            lines[name] += f" Another one of this name, in {packages}, is not used."
        elif len(plugins) > 1:
            lines[name] = f"It is refused, since two packages bring it: {packages}."
        else:
            lines[name] = plugins[0].summary
    return lines


def _first_line(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]
