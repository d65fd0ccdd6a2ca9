"""
The methods of `transformers.Trainer` that the adversarial trainer overrides or calls although they are private, or
documented for other uses: a release that renames one, changes its parameters or stops calling it fails here by name.
"""

import ast
import inspect

import pytest
from transformers import Trainer

from hf_textgan.trainer import adversarial_trainer
from hf_textgan.trainer.adversarial_trainer import AdversarialTrainer


# Method of the Trainer -> the names of its parameters. Overridden here; called by the Trainer.
OVERRIDDEN = {
    "_clip_grad_norm": ("model",),
    "_determine_best_metric": ("metrics", "trial"),
    "_finalize_training": ("trial", "num_train_samples", "start_time"),
    "_get_grad_norm": ("model", "grad_norm"),
    "_get_learning_rate": (),
    "_load_best_model": (),
    "_load_from_checkpoint": ("resume_from_checkpoint", "model"),
    "_load_optimizer_and_scheduler": ("checkpoint",),
    "_prepare_for_training": ("max_steps", "train_dataloader", "resume_from_checkpoint"),
    "_save": ("output_dir", "state_dict"),
    "_save_checkpoint": ("model", "trial"),
    "create_optimizer": ("model",),
    "create_scheduler": ("num_training_steps", "optimizer"),
    "get_batch_samples": ("epoch_iterator", "num_batches", "device"),
    "get_train_dataloader": (),
    "log": ("logs", "start_time"),
    "set_initial_training_values": ("args", "dataloader"),
    "training_step": ("model", "inputs", "num_items_in_batch"),
}
# Called here.
CALLED = {
    "_push_from_checkpoint": ("checkpoint_folder",),
    "get_decay_parameter_names": ("model",),
    "get_optimizer_cls_and_kwargs": ("args", "model"),
    "pop_callback": ("callback",),
    "store_flos": (),
}


def parameters(trainer_class: type, name: str) -> tuple[str, ...]:
    return tuple(key for key in inspect.signature(getattr(trainer_class, name)).parameters if key != "self")


def attributes_of_self(source: str) -> set[str]:
    """The names in `self.name` and `super().name`."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            owner = node.value.func if isinstance(node.value, ast.Call) else node.value
            if isinstance(owner, ast.Name) and owner.id in ("self", "super"):
                found.add(node.attr)
    return found


@pytest.mark.parametrize(("name", "expected"), {**OVERRIDDEN, **CALLED}.items(), ids=(*OVERRIDDEN, *CALLED))
def test_the_trainer_has_the_hook_with_these_parameters(name, expected):
    assert hasattr(Trainer, name), f"transformers.Trainer has no {name}: it was renamed or removed."
    assert parameters(Trainer, name) == expected, f"transformers.Trainer.{name} has other parameters."


@pytest.mark.parametrize(("name", "expected"), OVERRIDDEN.items(), ids=OVERRIDDEN)
def test_the_override_is_called_and_has_the_same_parameters(name, expected):
    assert name in vars(AdversarialTrainer), f"AdversarialTrainer overrides {name} no longer: remove it here."
    assert parameters(AdversarialTrainer, name) == expected
    assert name in attributes_of_self(inspect.getsource(Trainer)), f"transformers.Trainer calls {name} no longer."


def test_every_private_hook_is_listed():
    used = {*vars(AdversarialTrainer), *attributes_of_self(inspect.getsource(adversarial_trainer))}
    private = {name for name in used & set(vars(Trainer)) if name.startswith("_") and not name.startswith("__")}
    unlisted = private - {*OVERRIDDEN, *CALLED}
    assert not unlisted, f"Add {', '.join(sorted(unlisted))} to the lists of this file."
