//! How much of the stack was used, from the paint that the start-up code has put there.

use core::ptr::{read_volatile, write_volatile};

use cortex_m_rt::STACK_PAINT_VALUE;

unsafe extern "C" {
    static mut _stack_end: u32;
    static mut _stack_start: u32;
}

/// Bytes between the top of the stack and the lowest word that was ever written.
pub(crate) fn used_bytes() -> u32 {
    let end = &raw mut _stack_end;
    let start = &raw mut _stack_start;
    let mut lowest = end;
    // SAFETY: the linker script puts the stack between the two, in RAM and aligned; reading below
    // the stack pointer disturbs nobody.
    while lowest < start && unsafe { read_volatile(lowest) } == STACK_PAINT_VALUE {
        lowest = lowest.wrapping_add(1);
    }
    (start.addr() - lowest.addr()) as u32
}

/// Paints what is not in use, so that from now on only what runs counts, not the start.
#[inline(never)]
pub(crate) fn paint_again() {
    let here = 0u32;
    let mut word = &raw mut _stack_end;
    // What this function itself has on the stack stays as it is.
    let end = (&raw const here).addr() - OWN_BYTES;
    while word.addr() < end {
        // SAFETY: between the end of the stack and the stack pointer, less what this function may
        // use, nothing is alive.
        unsafe { write_volatile(word, STACK_PAINT_VALUE) };
        word = word.wrapping_add(1);
    }
}

/// More than a function with two variables takes.
const OWN_BYTES: usize = 64;
