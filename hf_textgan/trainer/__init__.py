"""Training; the modules are imported one by one, because only `adversarial_trainer` needs the Trainer."""
