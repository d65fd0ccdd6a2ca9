"""SentiGAN: a generator for each class, trained by a penalty."""

from .spec import Of, Paper, SystemSpec


SYSTEM = SystemSpec(
    name="sentigan",
    mode="policy-gradient",
    status="experimental",
    paper=Paper(
        title="SentiGAN: Generating Sentimental Texts via Mixture Adversarial Networks",
        arxiv_id=None,
        bibtex="""@inproceedings{wang2018sentigan,
    title     = {{SentiGAN}: Generating Sentimental Texts via Mixture Adversarial Networks},
    author    = {Wang, Ke and Wan, Xiaojun},
    booktitle = {IJCAI},
    pages     = {4446--4452},
    year      = 2018,
}""",
    ),
    players={
        "generator": ("MixtureGeneratorConfig", {"embedding_size": 300, "hidden_size": 300}),
        "discriminator": ("CNNDiscriminatorConfig", {"num_real_classes": Of("generator", "num_classes", default=1)}),
    },
    objective=("sentigan", {"num_rollouts": 15, "generator_steps": 5, "discriminator_steps": 1, "l2_weight": 0.2}),
    training={
        "optim": "rmsprop",
        "learning_rate": 1e-2,
        "max_grad_norm": 5.0,
        "player_optimizers": {"discriminator": {"learning_rate": 1e-4, "max_grad_norm": 0.0}},
        # Of the 4,503 sentences of the paper's movie reviews in batches of 64, an epoch has 70 full steps.
        "pretrain_generator_steps": 8400,  # 120 epochs
        "pretrain_discriminator_steps": 3500,  # 50 epochs
        "max_steps": 2000,
    },
    presets={
        "laptop": {
            "optim": "adamw_torch",
            "generator.embedding_size": 128,
            "generator.hidden_size": 128,
            "generator.dropout": 0.5,
            "pretrain_generator_steps": 600,
            "pretrain_discriminator_steps": 200,
            "max_steps": 30,
            "num_rollouts": 4,
            "generator/pretrain_generator.learning_rate": 3e-3,
            "generator/adversarial.learning_rate": 1e-4,
            "discriminator.window_sizes": [1, 2, 3, 4, 5],
            "discriminator.num_filters": [64, 64, 64, 64, 64],
            "discriminator.learning_rate": 1e-3,
        },
        "paper": {"generator.initial_state_std": 4.0},
    },
    needs=("labels",),
    deviations=(
        "Sequences end at EOS, and padding has neither penalty nor loss.",
        "One step updates the generators of all classes, on a batch whose classes are drawn with equal probabilities;"
        " the paper updates them one after the other. They share no parameter, but one bound on the gradient norm.",
        "A batch of real text has the classes in the proportions of the data; its loss is weighted so that each class"
        " counts the same, as in equation 5.",
        "The discriminator is SeqGAN's network, as in the published code; the paper has the character-level one of"
        " Zhang and LeCun with words.",
        "The paper says that noise initializes the generators; the standard deviation is that of the published code,"
        " and without the preset `paper` the initial state is zero, so that the likelihood is exact.",
        "The published code scores the token before the one that was drawn; the option `shifted` reproduces it.",
        "The steps of pre-training are read as epochs, as in the published code; learning rates and the number of"
        " iterations, which the paper leaves out, are those of the code, which also mixes likelihood into every"
        " iteration.",
    ),
)
