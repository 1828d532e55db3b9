"""What a caller wants, and who serves it: an intent detector and small agents that need no network and no key."""
