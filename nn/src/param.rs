//! What changes while everything else is a value: parameters, which an optimiser updates, and buffers, which
//! a layer updates itself (running statistics).

use std::sync::{
    Arc, RwLock,
    atomic::{AtomicU64, Ordering},
};

use tensor::Tensor;

#[derive(Debug)]
struct Cell {
    id: u64,
    value: RwLock<(Tensor, u64)>,
}

impl Cell {
    fn new(value: Tensor) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self { id: NEXT.fetch_add(1, Ordering::Relaxed), value: RwLock::new((value, 0)) })
    }

    fn get(&self) -> (Tensor, u64) {
        self.value.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn set(&self, value: Tensor) {
        let mut slot = self.value.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        *slot = (value, slot.1 + 1);
    }
}

macro_rules! cell {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name(Arc<Cell>);

        impl $name {
            /// A new one with a first value.
            pub fn new(value: Tensor) -> Self {
                Self(Cell::new(value))
            }

            /// The value now.
            pub fn value(&self) -> Tensor {
                self.0.get().0
            }

            /// Replaces the value; tapes keep the one that they have seen.
            pub fn set(&self, value: Tensor) {
                self.0.set(value);
            }

            /// How often the value was replaced.
            pub fn version(&self) -> u64 {
                self.0.get().1
            }

            /// Unique within the process.
            pub fn id(&self) -> u64 {
                self.0.id
            }
        }
    };
}

cell! {
    /// A trainable tensor. Cloning shares it.
    Param
}
cell! {
    /// A tensor that belongs to a layer's state but is not trained. Cloning shares it.
    Buffer
}
