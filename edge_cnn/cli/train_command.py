"""`edge-cnn train`: train a CNN with full back-propagation on the host."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_cnn.cli.budget_options import take_limits
from edge_cnn.cli.console import PATH, common_options
from edge_cnn.cli.output_path import check_folder, check_outside
from edge_cnn.cli.sole_writer import sole_writer
from edge_cnn.cli.train_checkpoint import find_checkpoint, settle, start_checkpoints, told_to_resume
from edge_cnn.cli.train_combinations import check_combinations, check_for_numbers
from edge_cnn.cli.train_job import TrainingJob, live_page
from edge_cnn.cli.train_options import in_words, make_config, train_options
from edge_cnn.cli.train_result import finish
from edge_cnn.cli.train_search import find_settings, found_document, take_search
from edge_cnn.cli.train_start import check_kept, initial_model, make_start, read_pretrained, with_origin
from edge_cnn.cli.train_workers import joined, supervise_workers, take_crew

if TYPE_CHECKING:
    from edge_cnn.cli.console import Console


@click.command()
@click.option("--data", required=True, help="A data set of 'edge-cnn data', a folder of images by class, or an .npz.")
@click.option("--out", type=PATH, required=True, metavar="DIR", help="Folder for model.keras, report.html and more.")
@train_options
@common_options
def command(
    console: Console,
    data: str,
    out: Path,
    resume: bool,
    checkpoint_every: float,
    tensorboard: Path | None,
    **chosen: Any,
) -> int:
    """Train a CNN on DATA with full back-propagation.

    What is not given comes from the recipe of DATA ('edge-cnn data'), or from the usual one for data of your own.

    The best weights by validation are kept; Ctrl-C ends the training and keeps the best so far, and --resume goes on.
    """
    from edge_cnn.core.labelled_images import held_out
    from edge_cnn.host.architectures import check_image_shape, find_architecture
    from edge_cnn.host.data_audit import audited
    from edge_cnn.host.data_source import load_data
    from edge_cnn.host.datasets import DATASETS, recipe_of
    from edge_cnn.host.restarts.restarts import check_restarts
    from edge_cnn.host.training.class_weights import weights_of_classes
    from edge_cnn.host.training.files import REPORT

    if data not in DATASETS:
        check_outside(out, Path(data))
    check_folder(out)
    if tensorboard is not None:
        check_folder(tensorboard, "--tensorboard")
    check_combinations(chosen, resume)
    check_kept(out, chosen["source"])
    crew = take_crew(chosen)
    wanted = take_search(chosen, several_workers=crew is not None)
    console = console if crew is None else crew.quieted(console)
    count = chosen.pop("restarts")
    check_limits = take_limits(chosen)
    # Workers are what is started below; their supervisor, or the only process there is, looks at everything first.
    plans = crew is None or crew.supervises
    if plans:
        click.get_current_context().with_resource(sole_writer(out))
    found = find_checkpoint(out, resume, console) if plans else None
    image_size = chosen["image_size"]
    pretrained = read_pretrained(chosen)
    image_shape = image_size if pretrained is None else pretrained.preprocessing.image_shape
    dataset = load_data(data, image_shape, on_skip=lambda _path, reason: console.note(f"skipped: {reason}"))
    recipe = recipe_of(dataset)
    start = make_start(pretrained, dataset.train.class_names, chosen)
    config = with_origin(make_config(chosen, recipe, console.seed), start, console)
    check_restarts(config, count)
    check_for_numbers(dataset.train, config, image_size)
    dataset = audited(dataset, config)
    if start is None:
        check_image_shape(find_architecture(config.architecture), dataset.train.images.shape[1:])
    weights_of_classes(config.class_weights, dataset.train.class_names, dataset.train.labels)
    # A worker may use TensorFlow only when it has joined the others.
    budget = check_limits(config.architecture, dataset.train, initial_model(start, config)) if plans else None
    if crew is not None and crew.supervises:
        return supervise_workers(crew, console, config, click.get_current_context().obj)
    for remark in dataset.remarks:
        if remark.finding != "unreadable":  # Each was told when it was read.
            console.note(f"data: {remark.text}")
    console.note(
        f"{config.architecture} on {dataset.name}: {len(dataset.train)} samples to train on "
        f"({held_out(dataset.train.labels, config.validation_share)} of them held out for validation), "
        f"{len(dataset.test)} to test, {len(dataset.train.class_names)} classes"
    )
    console.note(in_words(config))
    settings = None if wanted is None else find_settings(wanted, out, config, dataset.train, console)
    config = config if settings is None else settings.config
    with contextlib.nullcontext() if crew is None else joined(crew, config, dataset, out, resume, console) as member:
        team, found = (None, found) if member is None else (member.team, member.found)
        leads = team is None or team.is_chief
        budget = budget if team is None else check_limits(config.architecture, dataset.train, None)
        if budget is not None:
            console.note(budget.describe())
        config = settle(config, dataset.train, found, pretrained, start, console)
        checkpoints = start_checkpoints(out, config, dataset.train, found, checkpoint_every, console)
        job = TrainingJob(console, out, dataset, config, count, start, recipe.watch_test, team)
        with live_page(job, leads) as page:
            trained = job.run(None if found is None else found.state, checkpoints, page, tensorboard if leads else None)
            if leads:
                more = {"remarks": [remark.to_json() for remark in dataset.remarks], **found_document(settings)}
                more |= {} if budget is None else {"budget": budget.to_json()}
                with told_to_resume(out):
                    finish(console, out, dataset, trained, settings, more)
            if page is not None:
                page.end(REPORT, interrupted=trained.restarts.interrupted)
        if leads and not trained.restarts.result.interrupted:
            checkpoints.remove()
    return 0
