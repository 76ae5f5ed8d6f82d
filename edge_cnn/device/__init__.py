"""What runs on the device: runtimes, classifier, head surgery, fine-tuning; numpy and one light runtime."""
