//! What happens when memory runs out: this process ends at once, with an exit code of its own.
//!
//! Owns the allocator of the worker's binary. Never allocates or unwinds on its failure path.

use std::alloc::{GlobalAlloc, Layout, System};

use cynic_proto::exit_code;

/// The system's allocator, except that an allocation that fails ends the process with
/// [`exit_code::MEMORY`].
///
/// Rust's own answer to a failed allocation is to abort, which the supervisor could not tell from any other
/// abort. Nothing in a worker can go on without memory, so nothing is lost by deciding it here.
#[derive(Debug, Clone, Copy, Default)]
pub struct DyingAllocator;

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait")]
// SAFETY: every call goes to the system's allocator with the caller's own guarantees; a null result is
// replaced by the end of the process, which neither returns nor unwinds.
unsafe impl GlobalAlloc for DyingAllocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's guarantees are passed on.
        alive(unsafe { System.alloc(layout) })
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's guarantees are passed on.
        alive(unsafe { System.alloc_zeroed(layout) })
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: the caller's guarantees are passed on.
        alive(unsafe { System.realloc(block, layout, bytes) })
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's guarantees are passed on.
        unsafe { System.dealloc(block, layout) }
    }
}

#[inline]
fn alive(block: *mut u8) -> *mut u8 {
    if block.is_null() {
        out_of_memory();
    }
    block
}

#[cold]
#[expect(unsafe_code, reason = "ends the process without running anything that may allocate")]
fn out_of_memory() -> ! {
    const MESSAGE: &[u8] = b"memory limit reached\n";
    // SAFETY: the message is static; `_exit` runs no handlers and does not return.
    unsafe {
        libc::write(libc::STDERR_FILENO, MESSAGE.as_ptr().cast(), MESSAGE.len());
        libc::_exit(exit_code::MEMORY)
    }
}
