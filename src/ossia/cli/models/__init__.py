"""Commands about models on this computer: `ossia models`, `pull`, `rm`, `info`."""
