"""What would make reading faster: a user's own stores and plan, measured under one change at a time."""
