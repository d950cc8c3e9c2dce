"""What is left of a machine to this process: by a cluster's scheduler, or by a container."""
