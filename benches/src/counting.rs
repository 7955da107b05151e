//! An allocator that counts: what a request costs in allocations, on all threads together.

#![expect(unsafe_code, reason = "a global allocator is an unsafe trait; each call is handed on as it came")]

use std::{
    alloc::{GlobalAlloc, Layout},
    sync::atomic::{AtomicU64, Ordering},
};

use mimalloc::MiMalloc;

/// The allocator of the program, with two counters before it.
#[derive(Debug, Default)]
pub struct Counting {
    allocations: AtomicU64,
    bytes: AtomicU64,
}

/// Allocations up to some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Calls that allocate or grow.
    pub allocations: u64,
    /// Bytes that they asked for.
    pub bytes: u64,
}

impl Counting {
    /// Nothing counted yet.
    pub const fn new() -> Self {
        Self { allocations: AtomicU64::new(0), bytes: AtomicU64::new(0) }
    }

    /// What was counted since the program's start.
    pub fn count(&self) -> Count {
        Count { allocations: self.allocations.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }

    fn add(&self, bytes: usize) {
        self.allocations.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Count {
    /// What came since `earlier`.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self { allocations: self.allocations - earlier.allocations, bytes: self.bytes - earlier.bytes }
    }
}

// SAFETY: every method hands its arguments to mimalloc unchanged and its result back unchanged; the counters are atomics
// and allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.add(layout.size());
        // SAFETY: the caller keeps the trait's contract for these very arguments
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above
        unsafe { MiMalloc.dealloc(place, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.add(layout.size());
        // SAFETY: as above
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.add(size);
        // SAFETY: as above
        unsafe { MiMalloc.realloc(place, layout, size) }
    }
}
