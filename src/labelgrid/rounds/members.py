"""How further networks are trained beside a round's: the members of a deep ensemble."""

from dataclasses import replace

from labelgrid.files import remove_folder
from labelgrid.progress import Progress
from labelgrid.project.artifacts import Fit, MemberRecord, read_members, write_member
from labelgrid.project.folder import ProjectFolder
from labelgrid.rounds.context import RoundContext, as_fitted
from labelgrid.rounds.fit import plan_of, splits_for_training
from labelgrid.rounds.models import member_seed, new_network, restore_member
from labelgrid.train.checkpoint import load
from labelgrid.train.loop import fit as train
from labelgrid.train.model import TrainedModel


def train_member(
    context: RoundContext, project: ProjectFolder, fit: Fit, name: str, progress: Progress
) -> TrainedModel:
    """Train another network on a round's labels, from weights and with draws of a stream of its own, or resume that.

    It is kept in the round's folder of the fit and is a member of the model whenever that is restored. One that is
    trained already is restored. It learns and chooses on the same images as the round's own network.

    Args:
        context: of the project.
        project: whose labels are learnt from.
        fit: the record of the round's training, whose recipe it has.
        name: of the member, a folder's name; each draws from a stream of its own.
        progress: to report to.

    Returns:
        the member.

    Raises:
        TrainingError: a loss is not a number. ModelError: a network or its checkpoint cannot be used.
    """
    folder = project.round_folder(fit.round) / "fit" / "members" / name
    kept = read_members(project.round_folder(fit.round)).get(name)
    if kept:
        return restore_member(context, fit, name, kept)
    fitted = as_fitted(context, fit)
    own = replace(fitted, seed=member_seed(fit, name))
    plan = plan_of(own, project, new_network(own, project, progress), splits=splits_for_training(fitted, project))
    last = folder / "last.ckpt"
    if last.exists() and load(last).identity != plan.identity:
        progress.say(f"The labels changed since member '{name}' was begun: training anew.")
        remove_folder(folder)
    checkpoint = train(plan, folder, progress)
    record = MemberRecord(checkpoint.relative_to(project.folder).as_posix(), load(checkpoint).digest)
    write_member(project.round_folder(fit.round), name, record)
    return restore_member(context, fit, name, record)
