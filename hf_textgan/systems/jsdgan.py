"""JSDGAN: the Jensen-Shannon divergence from the generator's own density, without a discriminator."""

from .spec import Paper, SystemSpec


SYSTEM = SystemSpec(
    name="jsdgan",
    mode="density",
    status="experimental",
    paper=Paper(
        title="Adversarial Discrete Sequence Generation without Explicit Neural Networks as Discriminators",
        arxiv_id=None,
        bibtex="""@inproceedings{li2019adversarial,
    title     = {Adversarial Discrete Sequence Generation without Explicit Neural Networks as Discriminators},
    author    = {Li, Zhongliang and Xia, Tian and Lou, Xingyu and Xu, Kaihe and Wang, Shaojun and Xiao, Jing},
    booktitle = {AISTATS},
    year      = 2019,
    pages     = {3089--3098},
}""",
    ),
    players={"generator": ("RecurrentGeneratorConfig", {})},
    objective=("jsdgan", {"density": "normalized"}),
    training={
        "learning_rate": 1e-2,
        "max_grad_norm": 5.0,
        "max_steps": 78_000,  # 500 epochs of 10,000 sequences in batches of 64
        "load_best_model_at_end": True,  # the minimum of the divergence is the training set by heart
    },
    presets={
        "laptop": {"max_steps": 2000},
        "paper": {"density": "min-max"},
    },
    deviations=(
        "The default replaces the density ratio by its geometric mean over the tokens: the exact ratio of 20 tokens of"
        " 5,000 kinds is about 1e-70 before training, and so is its gradient. How the paper treats long sequences is"
        " not known here; `density=exact` is its objective to the letter, and needs pre-training.",
        "The paper's optimizer and rates are not known here; those above, and the preset `paper`, are of the"
        " reimplementation in TextGAN-PyTorch, which rescales the densities of each batch.",
        "Sequences end at EOS, so they have densities of different lengths; those of the reimplementation have one"
        " length.",
        "A sequence that occurs several times in the training data has its frequency as `p_d`; with `min-max` all of a"
        " batch have the same.",
        "The models with the best likelihood of held-out text are kept, because the exact minimum repeats the training"
        " set.",
    ),
)
