"""The loop of adversarial training without a Trainer: schedule, batches, players, objective and step."""
