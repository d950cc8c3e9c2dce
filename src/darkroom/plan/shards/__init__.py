"""Which jobs of a cluster render what: combinations of one base model, several to a job."""
