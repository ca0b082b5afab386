"""A real classifier of toxic comments, audited for what it makes of the people that comments are about."""
