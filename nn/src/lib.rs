//! Layers, losses, optimisers, schedules and checkpoints.
