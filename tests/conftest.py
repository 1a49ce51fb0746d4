"""What all folders of tests share."""

pytest_plugins = ["groups", "alone", "seconds"]
