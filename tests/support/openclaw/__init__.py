"""A real OpenClaw Gateway and a fake model behind it: what the tests and the bench stand on."""
