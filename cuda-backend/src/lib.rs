//! Finding NVIDIA libraries at run time and saying what is missing.
