"""Where and when it runs: system files, provisioning, the `nightshift` command, the demo."""
