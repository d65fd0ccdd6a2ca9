"""The Trainer of adversarial systems: a shell around the schedule, the batches, the players and the objective."""

import copy
import functools
import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from accelerate.utils import broadcast_object_list
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainingArguments, get_scheduler
from transformers.trainer_callback import (
    PrinterCallback,
    ProgressCallback,
    TrainerCallback,
)
from transformers.utils import logging

from .. import evaluation
from ..core.context import StepContext
from ..core.objective import Objective
from ..core.players import Players
from ..core.schedule import PhaseSchedule, Update
from ..core.step import PlayerOptimizer, StepResult, largest_parameter, take_step
from ..data.collator import collate
from ..data.rows import Rows
from ..data.statistics import scan_dataset
from ..sampling.capabilities import capabilities_of
from ..sampling.samples import Samples
from ..utils.files import clear_partial, make_folder, strict_json, writing_folder, writing_into
from ..utils.lock import locked
from ..utils.random import fork_rng, seed_iteration
from . import checkpoints, inputs
from .adversarial_config import AdversarialConfig
from .callbacks import AdversarialProgressCallback, PhaseCallback, SamplesCallback
from .engine import build_engine, set_generation_config
from .gathering import gather_samples
from .health import CollapseCallback, DivergenceGuard
from .hub import HubMixin
from .loader import batch_loader
from .model_card import update_card, write_model_card
from .optimizers import create_player_optimizer, optimizer_class
from .saved_models import describe_saved
from .summary import stop_reason_of, summarize
from .trackers import TrackerCallback
from .validation import (
    check_accelerator,
    check_columns,
    check_data,
    check_held_out_lengths,
    check_metric,
    check_players,
)
from .weights import config_file, load_weights, save_player, save_tokenizers


logger = logging.get_logger(__name__)


class AdversarialTrainer(HubMixin):
    """
    Trains a generator against other players, with the updates and losses of an objective.

    One call of [`~AdversarialTrainer.train`] runs all phases: maximum-likelihood pre-training of the generator,
    pre-training of the discriminator, adversarial training. `global_step` counts the iterations of all phases.

    Args:
        model (`PreTrainedModel` or `str`):
            The generator: one of this library's, or any causal language model; or its folder or name on the Hub.
        args ([`AdversarialConfig`]):
            The arguments.
        objective ([`Objective`] or `str`):
            The losses and the updates, or the name of an objective with its defaults.
        train_dataset (`datasets.Dataset`, [`EncodedText`], `str` or sequence):
            Encoded text: `input_ids` from BOS to EOS ([`~data.encoding.encode_text`]). Or text, which the tokenizer
            encodes: a data set with a column of text, sentences, or the path of a file.
        eval_dataset (as `train_dataset`, *optional*):
            Held-out text; its likelihood is part of every evaluation.
        processing_class (`PreTrainedTokenizerBase`, *optional*):
            The tokenizer; saved with the models.
        players (`dict[str, PreTrainedModel]`, *optional*):
            The other models by name, for example `{"discriminator": ...}`.
        text_metrics (`Callable[[list[str]], dict[str, float]]`, *optional*):
            Metrics of the texts sampled at an evaluation, for example [`~evaluation.TextMetrics`]. Of a generator
            that reads labels or conditions it also gets the rows of held-out data that the texts were drawn for.
        sequence_metrics (`Callable[[Samples], dict[str, float]]`, *optional*):
            Metrics of their token ids, for example [`~data.oracle.OracleMetrics`].
        callbacks (`list[TrainerCallback]`, *optional*):
            Further callbacks.
    """

    # Narrower than in the Trainer, which also takes what this one has converted before.
    args: AdversarialConfig
    model: Any
    train_dataset: Any
    eval_dataset: Any
    processing_class: Any
    players: Players  # from the start of training
    num_report_lines = 256  # lines on which an objective reports
    write_card: Callable[..., Any] = staticmethod(write_model_card)  # after every save, of its folder

    def __init__(
        self,
        model: PreTrainedModel | str,
        args: AdversarialConfig,
        objective: Objective | str,
        train_dataset: Any,
        eval_dataset: Any = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        players: dict[str, PreTrainedModel] | None = None,
        text_metrics: Callable[..., dict[str, float]] | None = None,
        sequence_metrics: Callable[[Samples], dict[str, float]] | None = None,
        callbacks: list[TrainerCallback] | None = None,
        **unsupported: Any,
    ):
        inputs.check_unsupported(unsupported)
        args, objective, model = inputs.as_config(args), inputs.as_objective(objective), inputs.as_generator(model)
        train_dataset = inputs.as_encoded(train_dataset, "train_dataset", processing_class, args.max_length)
        if eval_dataset is not None:
            eval_dataset = inputs.as_encoded(eval_dataset, "eval_dataset", processing_class)
        self.objective = objective
        phases = objective.phases(args.pretrain_generator_steps, args.pretrain_discriminator_steps, args.max_steps)
        self.schedule = PhaseSchedule(phases)
        self.other_players = inputs.check_instances(players)
        # Without a tokenizer there are no texts.
        self.text_metrics = text_metrics if processing_class is not None else None
        self.sequence_metrics = sequence_metrics
        self.last_samples: list[str] = []
        self.last_inputs: dict[str, list[str]] = {}  # their labels or sources
        self.eval_sequences: dict[str, list[str]] = {}  # of the objective's report
        shortest, longest, self._data_checksum = scan_dataset(train_dataset)
        self.engine = build_engine(model, processing_class, args, longest)
        if self.engine.eos_token_id is None and shortest != longest:
            raise ValueError(
                f"The training sequences have {shortest - 1} to {longest - 1} tokens, but without an EOS token all "
                "must have the same length; set eos_token_id, or cut them."
            )
        check_data(args, objective, phases, train_dataset, eval_dataset, self.engine)
        evaluation.check_samples(args.eval_num_samples, self.engine.max_length, "eval_num_samples")
        check_columns(model, self.other_players, self.engine, train_dataset, eval_dataset)
        check_players(model, self.other_players, args, objective, phases, self.engine, processing_class)
        measure = functools.partial(self._measure, tokenizer=processing_class) if self._samples_are_measured else None
        check_held_out_lengths(eval_dataset, model)
        check_metric(args, model, self.engine, train_dataset, eval_dataset is not None, measure)
        self._collate = functools.partial(collate, pad_token_id=self.engine.pad_token_id)
        set_generation_config(model, self.engine)
        objective.prepare(train_dataset, self.engine, {"generator": model, **self.other_players})

        if args.n_gpu > 1:
            args._n_gpu = 1  # one process drives one device; `accelerate launch` starts more
        super().__init__(
            model=model,
            args=args,
            data_collator=self._collate,
            train_dataset=train_dataset,
            # The Trainer evaluates held-out data or nothing; this one also has samples to measure.
            eval_dataset=cast(Any, [] if eval_dataset is None and self._samples_are_measured else eval_dataset),
            processing_class=processing_class,
            callbacks=callbacks,
        )
        check_accelerator(self.accelerator)
        for player in self.other_players.values():
            cast(torch.nn.Module, player).to(args.device)
        for key in self.schedule.optimizers():  # some need a package that may not be there
            optimizer_class(args.for_optimizer(*key), {**self.other_players, "generator": model}[key[0]])
        self.add_callback(PhaseCallback(self.schedule))
        self.add_callback(CollapseCallback(self, args.on_collapse))
        self.add_callback(SamplesCallback(self))
        self.add_callback(TrackerCallback(self))
        if self.pop_callback(ProgressCallback) or self.pop_callback(PrinterCallback):
            progress = PrinterCallback() if args.disable_tqdm else AdversarialProgressCallback(self.schedule)
            self.add_callback(progress)

        self.player_optimizers: dict[tuple[str, str], PlayerOptimizer] = {}
        self.stop_reason: str | None = None  # of a run that ended before its last iteration
        self.rollback_phase: str | None = None  # whose best models the run ends with
        self._divergence = DivergenceGuard({})
        self.best: dict[str, dict[str, Any]] = {}  # phase -> metric and step of its best models
        self._metrics: dict[str, list[float]] = defaultdict(list)
        self._micro_batches: list[list[list[dict]]] = []
        self.loaded_step: int | None = None  # of the best models, if they were loaded at the end
        self._changes: list[str] = []  # of the optimizers, against the checkpoint that is resumed
        self._reported_loss = self._reported_grad_norm = 0.0  # of the last iteration with a finite step

    # ---- Checks and set-up --------------------------------------------------------------------------------------

    def get_train_dataloader(self) -> DataLoader:
        return self.accelerator.prepare(batch_loader(self.train_dataset, self.schedule, self.args, self._collate))

    def set_initial_training_values(self, args: TrainingArguments, dataloader: DataLoader) -> tuple:
        # The loader holds the whole run, all phases: it is one epoch, and `max_steps` is but one phase of it.
        one_epoch = copy.copy(args)
        one_epoch.max_steps, one_epoch.num_train_epochs = -1, 1
        return super().set_initial_training_values(one_epoch, dataloader)

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        # The Trainer steps its optimizer once an iteration. The players' own optimizers step within their updates and
        # clear the gradients, so the Trainer gets one that never finds any.
        if self.optimizer is None:
            self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.0)
        return self.optimizer

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        self.lr_scheduler = get_scheduler("constant", optimizer or self.optimizer)
        self._created_lr_scheduler = True
        return self.lr_scheduler

    def _prepare_for_training(
        self, max_steps: int, train_dataloader: DataLoader, resume_from_checkpoint: str | None
    ) -> tuple:
        model, train_dataloader = super()._prepare_for_training(max_steps, train_dataloader, resume_from_checkpoint)
        updated = {player for player, _ in self.schedule.optimizers()}
        modules = {"generator": model}
        for name, player in self.other_players.items():
            if resume_from_checkpoint is not None:
                load_weights(player, Path(resume_from_checkpoint) / name)
            # A frozen player has no gradients to average, and data parallelism refuses to wrap it.
            modules[name] = self.accelerator.prepare_model(player) if name in updated else player
        self.players = Players(modules, self._unwrap, self._mean_over_processes, self.accelerator.gather)
        self.best.clear()
        self.loaded_step = None
        self._metrics.clear()
        self._divergence = DivergenceGuard({name: largest_parameter(self.players.unwrap(name)) for name in modules})
        self.player_optimizers = {key: self._create_player_optimizer(*key) for key in self.schedule.optimizers()}
        if resume_from_checkpoint is not None:
            self._load_players_state(Path(resume_from_checkpoint))
        return model, train_dataloader

    def _unwrap(self, module: torch.nn.Module) -> torch.nn.Module:
        return self.accelerator.unwrap_model(module, keep_fp32_wrapper=True)

    def _mean_over_processes(self, tensor: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, self.accelerator.reduce(tensor, reduction="mean"))

    def _sum_over_processes(self, sums: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, self.accelerator.reduce(sums.to(self.args.device))).cpu()

    def _create_player_optimizer(self, player: str, name: str) -> PlayerOptimizer:
        arguments, module = self.args.for_optimizer(player, name), self.players.unwrap(player)
        steps = self.schedule.steps_before(self.schedule.total, player, name)
        return create_player_optimizer(
            arguments,
            module,
            steps,
            self.get_decay_parameter_names(module),
            self.schedule.part_of(player, name),
        )

    # ---- Training -----------------------------------------------------------------------------------------------

    def train(self, resume_from_checkpoint: str | bool | None = None, **kwargs: Any) -> Any:
        """
        Runs all phases.

        Args:
            resume_from_checkpoint (`str` or `bool`, *optional*):
                A checkpoint of this run, or `True` for the newest complete one in `output_dir`.
        """
        output_dir = self.args.output_path
        with ExitStack() as stack:
            if self.is_world_process_zero():  # the other processes read finished folders only
                stack.enter_context(locked(output_dir))
                clear_partial(output_dir, output_dir / "best", output_dir / "samples")
            return self._train(resume_from_checkpoint, **kwargs)

    def _train(self, resume_from_checkpoint: str | bool | None, **kwargs: Any) -> Any:
        output_dir = self.args.output_path
        if resume_from_checkpoint:
            resume_from_checkpoint = str(self.find_checkpoint(resume_from_checkpoint))
            if self.is_world_process_zero():
                logger.warning(" ".join([f"Resuming from {resume_from_checkpoint}.", *self._changes]))
        elif self.is_world_process_zero() and (old := checkpoints.checkpoints(output_dir)):
            logger.warning(
                f"{old[0]} is there already: this run starts afresh, but resume_from_checkpoint=True would later "
                "continue whichever checkpoint has the highest step; use another output_dir."
            )
        return super().train(resume_from_checkpoint=resume_from_checkpoint or None, **kwargs)

    def find_checkpoint(self, checkpoint: str | bool) -> Path:
        """
        Returns a checkpoint that this run can resume: the named one, or the newest complete one for `True`.

        Raises:
            `ValueError`: If there is none, it is not complete, or it belongs to a run with other arguments.
        """
        path, skipped = checkpoints.find(self.args.output_path, checkpoint)
        if self.is_world_process_zero():
            for incomplete, reason in skipped:
                logger.warning(f"Skipped {incomplete}: {reason}.")
        self._changes = checkpoints.check_same_run(path, self._describe_run())
        return path

    def get_batch_samples(self, epoch_iterator: Iterator, num_batches: int, device: torch.device) -> tuple:
        self._micro_batches = [batches for _, batches in zip(range(num_batches), epoch_iterator, strict=False)]
        return self._micro_batches, None

    def training_step(self, model: torch.nn.Module, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        # The updates need all micro-batches of the iteration; the last micro-step has them, with gradient
        # synchronization on.
        if inputs is not self._micro_batches[-1]:
            return torch.zeros((), device=self.args.device)
        iteration = self.state.global_step
        position = self.schedule.at(iteration)
        context = StepContext.at(position, iteration, self.args.temperature, self.args.seed)
        seed_iteration(self.args.seed, iteration, self.args.process_index)

        phase_start = iteration - position.iteration_in_phase
        steps = {  # of each player in this phase
            update.player: self.schedule.steps_before(iteration, update.player)
            - self.schedule.steps_before(phase_start, update.player)
            for update in position.updates
        }
        taken: dict[str, list[StepResult]] = defaultdict(list)
        for number, update in enumerate(position.updates):
            optimizer = self.player_optimizers[update.player, position.phase.optimizer_of(update)]
            for k in range(update.repeat):
                batches = [micro[number][k] for micro in self._micro_batches]
                step_context = replace(context, step=steps[update.player])
                steps[update.player] += 1
                try:
                    result = take_step(
                        self.accelerator,
                        self.players,
                        optimizer,
                        update,
                        batches,
                        self.objective,
                        self.engine,
                        step_context,
                    )
                except FloatingPointError as error:
                    raise FloatingPointError(
                        f"{str(error)[:-1]} and resume; {self._last_good_checkpoint()}."
                    ) from error
                if result.skipped:
                    self._report_skipped(update, optimizer, result)
                    continue
                taken[update.player].append(result)
                if (warning := self._divergence.observe(update.player, update.loss, result)) is not None:
                    self.warn(warning)
                self._metrics[f"{update.player}/loss"].append(result.loss)
                self._metrics[f"{update.player}/grad_norm"].append(result.grad_norm)
                self._metrics[f"{update.player}/learning_rate"].append(optimizer.scheduler.get_last_lr()[0])
                for key, value in result.metrics.items():
                    self._metrics[key].append(value)
        if taken:  # the Trainer's own `loss` and `grad_norm` are the generator's where it is updated
            shown = taken.get("generator") or next(reversed(taken.values()))
            self._reported_loss = sum(result.loss for result in shown) / len(shown)
            self._reported_grad_norm = shown[-1].grad_norm
        return torch.tensor(self._reported_loss, device=self.args.device)

    def _report_skipped(self, update: Update, optimizer: PlayerOptimizer, result: StepResult) -> None:
        what = f"loss {result.loss:.4g}, gradient norm {result.grad_norm:.4g}"
        where = f"step {self.state.global_step}, {update.player}/{update.loss}"
        in_a_row = optimizer.skipped_in_a_row[update.loss]
        if in_a_row >= self.args.max_skipped_steps:
            raise FloatingPointError(
                f"Training stopped at {where}: {in_a_row} steps in a row were not finite ({what}); "
                f"{self._last_good_checkpoint()}; lower the learning rate or max_grad_norm and resume."
            )
        if self.is_world_process_zero():
            logger.warning(f"Skipped a step that is not finite at {where}: {what}.")

    def warn(self, text: str) -> None:
        """Logs a warning about the run and keeps it in the log history, from which it gets to `metrics.json`."""
        history = cast(list[dict[str, Any]], self.state.log_history)
        history.append({"step": self.state.global_step, "warning": text})
        if self.is_world_process_zero():
            logger.warning(text)

    def summary(self) -> list[str]:
        """Returns the lines that tell a finished run in words: each phase against its start, and the warnings."""
        reason = stop_reason_of([self, *self.callback_handler.callbacks])
        return summarize(self.state.log_history, self.schedule, reason)

    def _last_good_checkpoint(self) -> str:
        """Returns where to resume after a failure, in words."""
        newest, _ = checkpoints.newest_complete(self.args.output_path)
        return f"the last good checkpoint is {newest}" if newest else "no checkpoint was written yet"

    def _clip_grad_norm(self, model: torch.nn.Module) -> float:
        return self._reported_grad_norm  # the players clip their own gradients

    def _get_grad_norm(self, model: torch.nn.Module, grad_norm: float | None = None) -> float:
        return self._reported_grad_norm

    def _get_learning_rate(self) -> float:
        position = self.schedule.at(min(self.state.global_step, self.schedule.total - 1))
        moved = position.updates or position.phase.updates
        update = next((update for update in moved if update.player == "generator"), moved[-1])
        optimizer = self.player_optimizers[update.player, position.phase.optimizer_of(update)]
        return float(optimizer.scheduler.get_last_lr()[0])

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            means = {key: sum(values) / len(values) for key, values in self._metrics.items()}
            self._metrics.clear()
            for (player, _), optimizer in self.player_optimizers.items():
                if optimizer.skipped:
                    key = f"{player}/skipped_steps"
                    means[key] = means.get(key, 0) + optimizer.skipped
            if means and self.args.world_size > 1:
                keys = sorted(means)
                values = torch.tensor([means[key] for key in keys], dtype=torch.float64, device=self.args.device)
                means = dict(zip(keys, self._mean_over_processes(values).tolist(), strict=True))
            logs = {**logs, **means}
        super().log(logs, start_time)

    def phase_after(self, step: int) -> str:
        """Returns the name of the phase of the last of `step` iterations."""
        return self.schedule.at(max(step - 1, 0)).phase.name

    # ---- Evaluation ---------------------------------------------------------------------------------------------

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """
        Computes the likelihood of the held-out text, which may be longer than `max_length`, and the text metrics of
        `eval_num_samples` samples.

        Training is not disturbed: the state of every random number generator is restored. The samples depend on
        `eval_seed` alone, not on the number of processes.

        Returns:
            `dict[str, float]`: of the held-out text `eval_nll_per_token` (the field's NLL-test) and
            `eval_nll_per_sequence` in nats, given its labels and conditions if the generator reads them (or
            `eval_nll_bound_per_token` and `eval_nll_bound_per_sequence`, if its likelihood has only a bound), and
            `eval_loss` (the former); of the samples `eval_nll_div`, their mean
            negative log-likelihood per token under the generator itself, which is its entropy rate, and the text and
            sequence metrics under the same prefix.
        """
        start = time.perf_counter()
        if eval_dataset is None:
            dataset = self.eval_dataset if self.eval_dataset is not None else []
        else:
            dataset = inputs.as_encoded(eval_dataset, "eval_dataset", self.processing_class)
        has_text = len(dataset) > 0
        model = self.accelerator.unwrap_model(self.model_wrapped, keep_fp32_wrapper=True)
        rank, world_size = self.args.process_index, self.args.world_size
        was_training = model.training
        model.eval()
        metrics: dict[str, float] = {}
        try:
            with fork_rng("evaluation", self.args.eval_seed), self.accelerator.autocast():
                likelihood = capabilities_of(model).likelihood
                if has_text and likelihood is not None:
                    share = (self.args.per_device_eval_batch_size, rank, world_size)
                    sums = evaluation.corpus_nll(model, self.engine, dataset, self._collate, *share)
                    metrics.update(evaluation.nll_metrics(self._sum_over_processes(sums), likelihood == "bound"))
                    metrics["loss"] = next(iter(metrics.values()))  # per token
                rows = dataset if has_text else self.train_dataset  # of which samples and a report read something
                metrics.update(self._sample_metrics(model, rows, rank, world_size))
                metrics.update(self._report(rows))
        finally:
            model.train(was_training)
        metrics["runtime"] = time.perf_counter() - start
        metrics = {f"{metric_key_prefix}_{key}": value for key, value in metrics.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def predict(self, test_dataset: Any, ignore_keys: Any = None, metric_key_prefix: str = "test") -> Any:
        """Refuses, because a generator has no predictions."""
        raise ValueError(
            "predict was called, but a generator has no predictions of labels; sample with evaluation.sample_texts("
            "trainer.model, trainer.engine, tokenizer, num_samples), or call evaluate(dataset) for the likelihood of "
            "a data set."
        )

    @property
    def _samples_are_measured(self) -> bool:
        return self.text_metrics is not None or self.sequence_metrics is not None

    def _sample_metrics(self, model: PreTrainedModel, given: Rows, rank: int, world_size: int) -> dict[str, float]:
        if not self._samples_are_measured:
            return {}
        number = self.args.eval_num_samples
        engine = self.engine.at(self.args.temperature)
        own = evaluation.sample_sequences(model, engine, number, self.args.eval_seed, rank, world_size, given)
        samples = gather_samples(self.accelerator, own, self.engine, number)
        metrics: dict[str, float] = {}
        if capabilities_of(model).likelihood == "exact":
            sums = evaluation.sample_nll(model, engine, samples[rank::world_size])
            metrics["nll_div"] = evaluation.nll_metrics(self._sum_over_processes(sums))["nll_per_token"]
        result: list = [None]
        if self.is_world_process_zero():
            self.last_samples = evaluation.decode(self.processing_class, samples.sequences)
            self.last_inputs = evaluation.describe_inputs(model, self.processing_class, samples)
            result = [{**metrics, **self._measure(samples, self.processing_class, self.last_samples, given)}]
        if world_size > 1:
            broadcast_object_list(result)
        return result[0]

    def _report(self, dataset: Rows) -> dict[str, float]:
        """Returns the metrics of the objective's report, the same in every process, and keeps its texts."""
        rows = [dataset[i] for i in range(min(self.num_report_lines, len(dataset)))]
        batch = self._collate(rows)
        width = self.engine.max_length + 1  # held-out text may be longer than the generated
        cut = ("input_ids", "attention_mask")
        batch = {k: (v[:, :width] if k in cut else v).to(self.args.device) for k, v in batch.items()}
        models: dict[str, Any] = {
            "generator": self._unwrap(cast(torch.nn.Module, self.model_wrapped)),
            **self.other_players,
        }
        modes = {name: player.training for name, player in models.items()}
        try:
            for player in models.values():
                player.eval()
            with torch.no_grad():
                report = self.objective.report(Players(models), self.engine.at(self.args.temperature), batch)
        finally:
            for name, player in models.items():
                player.train(modes[name])
        self.eval_sequences = {
            name: evaluation.decode(self.processing_class, sequences) for name, sequences in report.sequences.items()
        }
        return report.metrics

    def _measure(
        self, samples: Samples, tokenizer: Any, texts: list[str] | None = None, given: Rows = ()
    ) -> dict[str, float]:
        metrics = {}
        if self.sequence_metrics is not None:
            metrics.update(self.sequence_metrics(samples))
        if self.text_metrics is not None:
            texts = texts or evaluation.decode(tokenizer, samples.sequences)
            # Of a generator that reads labels or conditions also the rows that gave them.
            rows = [evaluation.given_rows(given, range(len(texts)))] if samples.inputs and len(given) else []
            metrics.update(self.text_metrics(texts, *rows))
        return metrics

    # ---- Saving and loading ---------------------------------------------------------------------------------------

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        if not self.args.should_save:
            return
        folder = Path(output_dir) if output_dir is not None else self.args.output_path
        self._write_run(folder, state_dict)
        update_card(folder, self.write_card)

    def _write_run(self, folder: Path, state_dict: dict | None = None) -> None:
        """Writes models, arguments and description; killed, it leaves no configuration, so nobody loads two saves."""
        with writing_into(folder, last=config_file(self.model)) as partial:
            self._save_models(partial, state_dict)
            arguments = json.dumps(self.args.to_dict(), indent=2, default=str)
            (partial / "training_args.json").write_text(arguments + "\n")
            (partial / checkpoints.RUN_DESCRIPTION_FILE).write_text(
                json.dumps(self._describe_run(saved=True), indent=2) + "\n"
            )

    def create_model_card(self, model_name: str | None = None, **metadata: Any) -> None:
        """Writes the card of the saved models, README.md; see [`~trainer.model_card.write_model_card`]."""
        if self.is_world_process_zero():
            self.write_card(self.args.output_path, model_name=model_name, **metadata)

    def _save_models(self, folder: Path, state_dict: dict | None = None) -> None:
        """The generator and the tokenizer at the root, the other players in subfolders."""
        folder.mkdir(parents=True, exist_ok=True)
        model = self.accelerator.unwrap_model(self.model, keep_torch_compile=False)
        save_player(model, folder, state_dict)
        for name, player in self.other_players.items():
            save_player(player, folder / name)
        if self.processing_class is not None:
            save_tokenizers(self.processing_class, folder, self.other_players, self.engine.max_length)

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        self.store_flos()
        final = self.args.output_path / f"checkpoint-{self.state.global_step}"
        if self.args.should_save:
            with writing_folder(final) as folder:
                self._write_run(folder)
                if not self.args.save_only_model:
                    torch.save(self._players_state(), folder / checkpoints.PLAYERS_STATE_FILE)
                checkpoints.export_callback_states(self.state, [*self.callback_handler.callbacks, self.control])
                self.state.save_to_json(str(folder / checkpoints.TRAINER_STATE_FILE))
            if self.args.save_total_limit is not None and self.args.save_total_limit > 0:
                checkpoints.rotate(final, self.args.save_total_limit)
        self.accelerator.wait_for_everyone()
        if self.args.push_to_hub:
            self._push_from_checkpoint(str(final))

    def _players_state(self) -> dict[str, Any]:
        return {
            "optimizers": {"/".join(key): value.state_dict() for key, value in self.player_optimizers.items()},
            "objective": self.objective.state_dict(),
            "best": self.best,
        }

    def _load_players_state(self, checkpoint: Path) -> None:
        state = torch.load(checkpoint / checkpoints.PLAYERS_STATE_FILE, map_location="cpu", weights_only=True)
        for key, optimizer in self.player_optimizers.items():
            name = "/".join(key)
            if name in state["optimizers"]:
                optimizer.load_state_dict(state["optimizers"][name])
            elif self.schedule.steps_before(self.state.global_step, *key) > 0:  # not of a phase that lies ahead
                raise ValueError(f"{checkpoint} has no optimizer of {name}; resume from another checkpoint.")
        self.objective.load_state_dict(state["objective"])
        self.best = state["best"]

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """The Trainer's own optimizer has no state; the players' are loaded with the players."""

    def _describe_run(self, saved: bool = False) -> dict[str, Any]:
        models = {"generator": self.model, **self.other_players}
        description = checkpoints.describe_run(
            self.args, self.engine, self.objective, models, self.schedule, len(self.train_dataset), self._data_checksum
        )
        return {**description, "saved": describe_saved(self, models)} if saved else description

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        load_weights(self.model if model is None else cast(PreTrainedModel, model), Path(resume_from_checkpoint))

    # ---- Best models ----------------------------------------------------------------------------------------------

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        """
        Keeps the best models of each phase in `best/<phase>`: an adversarial phase is not measured against the
        maximum-likelihood phase before it, which no GAN matches in likelihood.
        """
        bound = capabilities_of(self.model).likelihood == "bound"
        name = self.args.metric_for_best_model or ("nll_bound_per_token" if bound else "nll_per_token")
        key = name if name.startswith("eval_") else f"eval_{name}"
        phase = self.phase_after(self.state.global_step)
        updated = any(
            update.player == "generator" for p in self.schedule.phases if p.name == phase for update in p.updates
        )
        value = float(metrics.get(key, math.nan))  # without held-out text there is no likelihood
        if not updated or math.isnan(value):
            return False
        best = self.best.get(phase)
        better = best is None or (value > best["value"] if self.args.greater_is_better else value < best["value"])
        if not better:
            return False
        self.best[phase] = {"step": self.state.global_step, "value": value, "metric": key}
        self.state.best_metric, self.state.best_global_step = value, self.state.global_step  # for stock callbacks
        if self.args.should_save and self.args.save_strategy != "no":
            with writing_folder(make_folder(self.args.output_path / "best") / phase) as partial:
                self._save_models(partial)
                (partial / "metrics.json").write_text(strict_json(metrics))
        self.accelerator.wait_for_everyone()
        return True

    def _finalize_training(self, trial: Any, num_train_samples: int, start_time: float) -> Any:
        if self.rollback_phase in self.best:
            self._load_best_of(self.rollback_phase)
        elif self.args.load_best_model_at_end and self.best:
            self._load_best_model()
        return super()._finalize_training(trial, num_train_samples, start_time)

    def _load_best_model(self) -> None:
        """Loads all players of the best evaluation in the last phase that has one."""
        self._load_best_of(next(p.name for p in reversed(self.schedule.phases) if p.name in self.best))

    def _load_best_of(self, phase: str) -> None:
        """Loads all players of the best evaluation of a phase."""
        folder = self.args.output_path / "best" / phase
        self.loaded_step = self.best[phase]["step"]
        logger.warning(f"Loading the best models of the {phase} phase, of step {self.loaded_step}.")
        load_weights(self.model, folder)
        for name, player in self.other_players.items():
            load_weights(player, folder / name)


__all__ = ["AdversarialTrainer"]
