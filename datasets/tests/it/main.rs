//! Tests of the crate as its users see it: folders on disk, broken files, the loader, the caches.

mod broken;
mod disk;
mod loader;
mod real;
mod stats;
mod support;
