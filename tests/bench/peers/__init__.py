"""Other job and workflow systems, measured side by side with Tasker."""
