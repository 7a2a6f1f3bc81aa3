"""Measuring: both sides' conditions, every evaluation of them, and what the cache already has."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from mlactions.errors import UserError
from mlactions.evaluate import globs
from mlactions.evaluate.base import base_checkout
from mlactions.evaluate.cache import Cache
from mlactions.evaluate.collect import with_equal_names
from mlactions.evaluate.documents import Conditions, Measured
from mlactions.evaluate.evaluations import Bench, Checkout
from mlactions.evaluate.git import Git
from mlactions.evaluate.hydra import Composer, composed_hash
from mlactions.evaluate.plan import Plan
from mlactions.evaluate.provenance import Environment, probe, protocol_hash
from mlactions.evaluate.records import Config, Record, Side, Task
from mlactions.evaluate.run import Progress, Stop, run_all
from mlactions.evaluate.settings import Settings
from mlactions.evaluate.template import Template
from mlactions.evaluate.tree import Tree, join
from mlactions.runner import Runner


@dataclass(frozen=True)
class Measurer:
    """Runs the evaluations of a plan. `preferred` names a model's metrics to show first."""

    settings: Settings
    runner: Runner
    out: Path
    git: Git | None
    environ: Mapping[str, str]
    preferred: Callable[[str], Sequence[str]]

    def measure(self, plan: Plan, stop: Stop) -> Measured:
        """Evaluate the head, and the base where it is asked for; `stop` ends it early."""
        environment = probe(
            self.settings.template,
            folder=self.settings.folder,
            environ=self.environ,
            stop=stop.event,
        )
        root = self.git.root.resolve() if self.git else self.settings.folder
        sides: dict[Side, _SideRun] = {
            "head": _SideRun(
                Checkout(root, self.settings.folder, self.environ),
                self._conditions(plan, self.settings.folder, self.git, environment),
            )
        }
        notes: list[str] = []
        records: tuple[Record, ...] = ()
        with ExitStack() as stack:
            if not self.settings.matrix_only:
                if self.settings.also_base and stop.number is None:
                    notes += self._open_base(plan, environment, sides, stack)
                records = self._evaluate(plan, sides, stop)
        conditions = {side: run.conditions for side, run in sides.items()}
        return Measured(plan, records, conditions, tuple(notes))

    def _open_base(
        self,
        plan: Plan,
        environment: Environment,
        sides: dict[Side, _SideRun],
        stack: ExitStack,
    ) -> Iterator[str]:
        """Add the base's side; yield what the reader should know about it."""
        if self.git is None or plan.base is None:
            yield "The base is not evaluated: it is not known."
            return
        try:
            checkout = stack.enter_context(
                base_checkout(
                    self.git,
                    plan.base,
                    folder=self.settings.folder,
                    environ=self.environ,
                    imports_from=environment.paths,
                    share=self.settings.share,
                )
            )
        except UserError as error:
            if error.title == "bad input":
                raise
            yield f"The base is not evaluated: {error.title}: {error.message}"
            return
        git = Git(checkout.root)
        sides["base"] = _SideRun(
            checkout, self._conditions(plan, checkout.folder, git, environment)
        )
        for choice in plan.selected:
            if not (checkout.folder / choice.config.path).is_file():
                yield f"`{choice.config.path}` does not exist at the base: no comparison with it."

    def _conditions(
        self, plan: Plan, folder: Path, git: Git | None, environment: Environment
    ) -> Conditions:
        configs = [choice.config for choice in plan.selected]
        return Conditions(
            commit=(git.head() or "") if git else "",
            dirty=git.is_dirty() if git else False,
            protocol=protocol_of(self.settings, folder, required=git is self.git),
            configs=config_hashes(self.settings.template, configs, folder, git),
            environment=environment,
        )

    def _tasks(self, plan: Plan, sides: Mapping[Side, _SideRun]) -> Iterator[Task]:
        for side, run in sides.items():
            for choice in plan.selected:
                if choice.config.path in run.conditions.configs:
                    for seed in self.settings.seeds:
                        yield Task(choice.config, side, seed, choice.reason)

    def _evaluate(
        self, plan: Plan, sides: Mapping[Side, _SideRun], stop: Stop
    ) -> tuple[Record, ...]:
        """Run what the cache does not have; return the records, head first, in the plan's order."""
        tasks = list(self._tasks(plan, sides))
        cache = self._cache(sides)
        progress = Progress(len(tasks), self.settings.jobs, self.runner.say, self.preferred)
        done: dict[Task, Record] = {}
        for task in tasks:
            if cache and task.side == "base" and (record := cache.load(task, self.out)):
                done[task] = record
                progress.report(record)
        waiting = [task for task in tasks if task not in done]
        done |= {record.task: record for record in self._run(waiting, sides, stop, progress)}
        records = with_equal_names(tuple(done[task] for task in tasks))
        for record in records:
            if cache and record.task.side == "base":
                cache.store(record, self.out)
        return records

    def _run(
        self,
        tasks: Sequence[Task],
        sides: Mapping[Side, _SideRun],
        stop: Stop,
        progress: Progress,
    ) -> tuple[Record, ...]:
        bench = Bench(
            template=self.settings.template,
            limits=self.settings.limits,
            checkouts={side: run.checkout for side, run in sides.items()},
            out=self.out,
            scratch=self.out / ".scratch",
            total=len(tasks),
            show=self._show,
        )
        try:
            with self.runner.untrusted_output():
                return run_all(
                    tasks,
                    bench.perform,
                    jobs=self.settings.jobs,
                    stop=stop,
                    ended=progress.report,
                )
        finally:
            shutil.rmtree(bench.scratch, ignore_errors=True)

    def _cache(self, sides: Mapping[Side, _SideRun]) -> Cache | None:
        if self.settings.cache is None or "base" not in sides:
            return None
        return Cache(self.settings.cache, sides["base"].conditions)

    def _show(self, task: Task) -> Callable[[str], None] | None:
        """On GitHub the output goes to the step log as well, each line with its owner."""
        if not self.runner.on_github:
            return None
        prefix = f"{task.label} | "
        return lambda line: self.runner.say(prefix + line)


@dataclass(frozen=True)
class _SideRun:
    checkout: Checkout
    conditions: Conditions


def protocol_of(settings: Settings, folder: Path, *, required: bool) -> str:
    """Return the protocol hash as it stands in a work tree."""
    names = globs.find(folder, settings.protocol_files, field="protocol-files", required=required)
    return protocol_hash(settings.template, {name: (folder / name).read_bytes() for name in names})


def config_hashes(
    template: Template, configs: Iterable[Config], folder: Path, git: Git | None
) -> dict[str, str]:
    """Return the hash of every config that stands in a working directory."""
    configs = tuple(configs)
    root = git.root.resolve() if git else folder
    below = folder.relative_to(root).as_posix()
    paths = {config: join(below, config.path) for config in configs}
    tree = Tree(root, {*(git.files() if git else _yaml_files(folder, configs)), *paths.values()})
    composer = Composer(tree, join(below))
    return {
        config.path: composed_hash(composer, tree, path, template.preview(config.path, config.stem))
        for config, path in paths.items()
        if tree.exists(path)
    }


def _yaml_files(folder: Path, configs: Iterable[Config]) -> Iterator[str]:
    """Yield what a config may be composed of where no git lists files."""
    for parent in {(folder / config.path).parent for config in configs}:
        for path in parent.rglob("*.yaml"):
            yield path.relative_to(folder).as_posix()
