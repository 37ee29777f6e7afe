//! Driving-scene datasets: Cityscapes, CamVid and a synthetic generator.
