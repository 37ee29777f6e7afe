//! DSNet: training, evaluating and benchmarking real-time driving-scene segmentation.
