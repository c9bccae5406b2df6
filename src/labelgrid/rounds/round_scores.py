"""Finds the scores of a round, and refuses stale ones. Loads no torch."""

import json
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

from labelgrid.basics import plugins
from labelgrid.basics.config import merge, parse
from labelgrid.basics.errors import PluginError, ProjectError, RecipeError, command
from labelgrid.basics.files import digest
from labelgrid.basics.type_names import Tables, Values
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import Fit, newest_fit, read_members
from labelgrid.project.score_files import scores_folder
from labelgrid.recipes.recipe import PluginChoice, Recipe
from labelgrid.recipes.resolve import build_plugin, hash_of, load_tables, resolved_options
from labelgrid.rounds.outside_files import predictions_changed
from labelgrid.score.table import EXPLAINING, FILE, Table, weights_stamp
from labelgrid.select.class_statistic import CLASSES
from labelgrid.select.strategy import Strategy
from labelgrid.suppliers.supplied import BoundSupplier, bind_suppliers, supplied_identity

#: The statistic by which the nearest labelled image is found.
FEATURES = "features"
#: The tables of recipes that hold the options of a folder's plug-ins.
TABLES = {"statistics": "score", "terms": "terms"}


def strategy_of(project: ProjectFolder, name: str = "") -> tuple[str, Strategy]:
    """The strategy of a name, or else of the settings, with its name."""
    chosen = project.settings.strategy
    if name and name != chosen.name:
        chosen = PluginChoice(name, {})
    return chosen.name, build_plugin("strategies", chosen)


def score_tables(strategy: Strategy, tables: Tables) -> dict[str, Values]:
    """The recipe's [score] tables, with the options that a strategy relies on.

    Statistics that the recipe names stay as they are.
    """
    expected: Tables = _expected_options(strategy).get("statistics", {})
    complete = dict(tables)
    for name, options in expected.items():
        complete[name] = {**options, **tables.get(name, {})}
    return complete


def needed_options(strategy: Strategy, tables: Tables) -> dict[str, Values]:
    """The options of a strategy's statistics, by name; `tables` as in `score_tables`."""
    complete = score_tables(strategy, tables)
    return {name: complete.get(name, {}) for name in sorted(strategy.needs)}


def _expected_options(strategy: Strategy) -> Mapping[str, Tables]:
    return getattr(strategy, "expects", {})


def lacking_term(strategy: Strategy, terms: Collection[str]) -> tuple[str, str] | None:
    """The first statistic of a strategy that reads a missing term, and the term.

    Args:
        strategy: declares the statistics.
        terms: the names of the recipe's [terms] tables.
    """
    for name in sorted(strategy.needs):
        for term in sorted(terms_of(name) - set(terms)):
            return name, term
    return None


def terms_of(statistic: str) -> frozenset[str]:
    """The names of the terms that a statistic reads: `terms` of its class `Options`.

    Raises:
        PluginError: there is no such plug-in, it has no options, or `terms` is no frozenset.

    Example:
        >>> terms_of("learning_loss"), terms_of("dropout")
        (frozenset({'learning_loss'}), frozenset())
    """
    terms: object = getattr(plugins.options_class("statistics", statistic), "terms", frozenset())
    if not isinstance(terms, frozenset):
        raise PluginError(
            f"The `terms` of the options of the statistic '{statistic}' are not a frozenset of "
            f"names of terms, but {terms!r}.",
            next_step='Write `terms: ClassVar[frozenset[str]] = frozenset({"NAME"})`.',
        )
    return terms


def reads_suppliers(statistic: str) -> bool:
    """Whether a statistic reads labels of suppliers: `suppliers` of its class `Options`.

    It has no value for a cell without one.

    Raises:
        PluginError: there is no such plug-in, or it has no options.

    Example:
        >>> reads_suppliers("supplier_disagreement"), reads_suppliers("dropout")
        (True, False)
    """
    return bool(getattr(plugins.options_class("statistics", statistic), "suppliers", False))


def no_supplier_error(statistic: str) -> RecipeError:
    """The error about a statistic that reads labels of suppliers, where none is trusted."""
    return RecipeError(
        f"The statistic '{statistic}' reads labels of suppliers, and the recipe trusts none.",
        where="suppliers",
        next_step="Give a supplier a trust above 0 in a table [suppliers.NAME], or choose another "
        "statistic.",
        unchanged="Nothing was scored.",
    )


def check_expected_options(
    who: str, strategy: Strategy, recipe_tables: Mapping[str, Tables]
) -> None:
    """Check the options of a strategy's plug-ins against the strategy's expectations.

    Args:
        who: begins the message, such as "The strategy 'clasp_pe'".
        strategy: the strategy with the attribute `expects`; expected options of statistics are
            added by `score_tables`.
        recipe_tables: the recipe's tables, by folder: those of "statistics" and of "terms".

    Raises:
        RecipeError: a plug-in has another option, or cannot have this one.
        PluginError: there is no plug-in of this name, or no such folder.
    """
    for folder, expected in _expected_options(strategy).items():
        if folder not in recipe_tables:
            raise PluginError(
                f"{who} relies on options of '{folder}'; its `expects` can name "
                f"{', '.join(recipe_tables)}.",
                next_step="Correct `expects` of the strategy.",
                unchanged="Nothing was changed.",
            )
        for name, options in expected.items():
            names = {field.name for field in fields(plugins.options_class(folder, name))}
            unknown = sorted(options.keys() - names)
            if unknown:
                raise PluginError(
                    f"{who} relies on the option '{unknown[0]}' of [{TABLES[folder]}.{name}], "
                    "which has no such option.",
                    next_step="Choose another statistic or strategy.",
                    unchanged="Nothing was changed.",
                )
        tables = recipe_tables[folder]
        if folder == "statistics":
            tables = score_tables(strategy, tables)
        try:
            resolved = resolved_options(folder, expected, tables)
        except RecipeError as error:
            raise RecipeError(
                f"{who} relies on {json.dumps(expected)} in [{TABLES[folder]}]. {error.what}",
                next_step="Choose another statistic or strategy, or correct the options.",
                unchanged="Nothing was changed.",
            ) from error
        _check_option_values(who, TABLES[folder], expected, resolved)


def _check_option_values(who: str, table: str, expected: Tables, resolved: Tables) -> None:
    for name, options in expected.items():
        for key, value in options.items():
            actual = resolved[name][key]
            if actual != value:
                raise RecipeError(
                    f"{who} needs {key} = {json.dumps(value)} in [{table}.{name}]; the recipe has "
                    f"{json.dumps(actual)}.",
                    next_step="Change this option, or choose another strategy.",
                    unchanged="Nothing was changed.",
                )


def scoring_model(project: ProjectFolder, strategy: Strategy) -> Fit | None:
    """The record of the model that scores for a strategy, mostly of the newest training.

    Before the first training, the model of a `cold` strategy is a record without a checkpoint: the
    network with its initial weights. None for other strategies.
    """
    fit = newest_fit(project.folder)
    if fit or not getattr(strategy, "cold", False):
        return fit
    settings = project.settings
    weights = project.weights()
    recipe = project.recipe()
    tables = json.loads(recipe.json())
    tasks = sorted(project.tasks())
    content = digest(weights) if weights and weights.is_file() else ""
    backbone = recipe.effective()["backbone"]
    identity = ("untrained", tables["network"], backbone, settings.seed, tasks, content)
    model = hash_of(*identity)
    return Fit(
        round=project.round_number,
        checkpoint="",
        model=model,
        recipe=tables,
        seed=settings.seed,
        trained=[],
        images=0,
        labels={},
        spent=0.0,
    )


@dataclass(frozen=True)
class RoundScores:
    """The scores that a strategy needs of a trained model. The recipe is read once, on first use.

    Args:
        project: the project.
        fit: the record of the training whose model scores.
        strategy: the strategy that needs the scores.
        apart: the folder of a search's scores, below the folder of the round's scores, which stay
            unchanged; empty: these are the round's scores.
    """

    project: ProjectFolder
    fit: Fit
    strategy: Strategy
    apart: str = ""

    @cached_property
    def tables(self) -> Values:
        """The recipe's tables, unchecked, since fresh scores need no check of the rest.

        The tables belong to the project's current recipe. If the training named a recipe, they
        belong to that recipe as it was trained, with the project's current overrides of [score].
        """
        settings = self.project.settings
        if self.fit.named:
            return merge(self.fit.recipe, {"score": settings.changes.get("score", {})})
        return load_tables(settings.recipe, settings.changes, beside=self.project.folder)

    @cached_property
    def options(self) -> Tables:
        """The [score] tables, with the options that the strategy relies on.

        Raises:
            RecipeError: `score` is not a table of tables, or has another option than the strategy
                relies on.
        """
        tables = self.tables.get("score", {})
        is_mapping = isinstance(tables, Mapping)
        if not is_mapping or not all(isinstance(table, Mapping) for table in tables.values()):
            raise RecipeError(f"score must hold tables, one for each statistic; it is {tables!r}.")
        terms = self.fit.recipe.get("terms", {})
        check_expected_options(
            "The strategy", self.strategy, {"statistics": tables, "terms": terms}
        )
        return score_tables(self.strategy, tables)

    @cached_property
    def suppliers(self) -> list[BoundSupplier] | None:
        """The suppliers that the current recipe trusts; None if no statistic reads their labels.

        Raises:
            RecipeError: it trusts none.
        """
        readers = [name for name in sorted(self.strategy.needs) if reads_suppliers(name)]
        if not readers:
            return None
        recipe = parse(Recipe, self.tables, "recipe")
        suppliers = bind_suppliers(self.project, recipe.suppliers, self.project.tasks())
        if not suppliers:
            raise no_supplier_error(readers[0])
        return suppliers

    @cached_property
    def stamp(self) -> dict[str, str]:
        """What scores depend on.

        These are the model with its terms, the scoring recipe, and the pool with its labels.

        Raises:
            RecipeError: an option of a statistic is unknown or wrong, or differs from what the
                strategy relies on.
        """
        needs = sorted(self.strategy.needs)
        options = self.options
        data = self.fit.recipe["data"]
        stamp = {
            "model": self.fit.model,
            "recipe": hash_of(data, resolved_options("statistics", needs, options), self.fit.seed),
            "pool": self.project.store.pool_hash(),
            "statistics": ",".join(needs),
        }
        if self.suppliers is not None:
            image_ids = [row.image_id for row in self.project.store.images(("train",))]
            trusted = [(supplier.name, supplier.trust) for supplier in self.suppliers]
            supplied = supplied_identity(self.suppliers, image_ids)
            stamp["suppliers"] = hash_of(trusted, supplied)
        return stamp

    @cached_property
    def explaining(self) -> frozenset[str]:
        """The statistics that are computed only to explain the picks and to order images.

        None if the strategy itself needs no scores.
        """
        if not self.project.settings.explains or not self.strategy.needs:
            return frozenset()
        has_classes = any(task.class_names for task in self.project.tasks().values())
        return frozenset({FEATURES, *([CLASSES] if has_classes else [])}) - self.strategy.needs

    @property
    def explaining_stamp(self) -> dict[str, str]:
        """The entry of the stamp for what explains the picks; none without."""
        return self._stamp_of(self.explaining)

    def _stamp_of(self, explaining: Collection[str]) -> dict[str, str]:
        options = resolved_options("statistics", explaining, self.options)
        return {"explaining": hash_of(options)} if explaining else {}

    def features(self, number: int, table: Table) -> Table | None:
        """The table with the pooled features of the round's images; None without.

        The round's picks are explained by them.

        Args:
            number: the number of the round.
            table: its fresh scores.

        Raises:
            ProjectError: the file is damaged.
        """
        return self.holding({FEATURES}, number, table)

    def holding(self, names: Set[str], number: int, table: Table) -> Table | None:
        """The table of a round that holds some statistics: the scores or the explanations.

        Args:
            names: the names of the statistics.
            number: the number of the round.
            table: its fresh scores.
        """
        if names <= table.statistics.keys():
            return table
        path = self.folder(number) / EXPLAINING
        if not path.exists():
            return None
        from labelgrid.score.table_files import read_stamp, read_table  # needs pyarrow

        stamps = [self.explaining_stamp, self._stamp_of({FEATURES})]  # once, features alone
        if read_stamp(path) not in [{**table.stamp, **stamp} for stamp in stamps]:
            return None
        explaining = read_table(path)
        if names <= explaining.statistics.keys():
            return explaining
        return None

    def members_stamp(self) -> dict[str, str]:
        """The stamp's entry for the members of an ensemble; empty without members."""
        members = read_members(self.project.round_folder(self.fit.round))
        if not members or self.fit.predictions:
            return {}
        return {"members": hash_of({name: member.model for name, member in members.items()})}

    def folder(self, number: int) -> Path:
        """The folder of a round's scores."""
        return scores_folder(self.project, number) / self.apart

    def fresh(self, number: int) -> Table | None:
        """The round's scores; None if there are none.

        Raises:
            ProjectError: they are stale: computed with another model, recipe, pool, terms or
                weights.
        """
        folder = self.folder(number)
        if not (folder / FILE).exists():
            return None
        from labelgrid.score.table_files import read_stamp, read_table  # needs pyarrow

        stored = read_stamp(folder / FILE)
        expected = {**self.stamp, **self.members_stamp()}
        if "weights" in stored:  # of statistics with modules
            expected |= weights_stamp(folder, sorted(self.strategy.needs))
        keys = sorted(expected.keys() | stored.keys())
        stale = [key for key in keys if stored.get(key) != expected.get(key)]
        score = command("score", self.project.folder)
        if self.fit.predictions and predictions_changed(Path(self.fit.predictions), self.fit.model):
            stale = ["predictions"]
            score = command("score", self.project.folder, "--predictions", self.fit.predictions)
        if stale:
            raise ProjectError(
                f"The scores are stale: the {' and the '.join(stale)} changed since they were "
                "computed.",
                where=folder / FILE,
                next_step=f"Run `{score}` again, with the query's `--strategy` if it has one.",
                unchanged="Nothing was requested.",
            )
        table = read_table(folder / FILE)
        tasks = {row.name for row in self.project.store.tasks()}
        if self.strategy.needs - table.statistics.keys() or set(table.tasks) != tasks:
            raise ProjectError(
                "The scores are not those that the strategy needs.",
                where=folder / FILE,
                next_step=f"Run `{score}` again.",
                unchanged="Nothing was requested.",
            )
        return table
