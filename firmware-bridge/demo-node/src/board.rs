//! The peripherals of the MPS2 board that the firmware uses: one UART and one timer of Arm's CMSDK.
//!
//! All `unsafe` of the firmware is here and in `stack.rs`: registers are read and written at
//! addresses that the manual of the board gives (DAI 0385D). Each peripheral exists once, since
//! [`Board::take`] gives it once.

use core::convert::Infallible;
use core::ptr::{read_volatile, with_exposed_provenance_mut, write_volatile};
use core::sync::atomic::{AtomicBool, Ordering};

use embedded_io::{ErrorType, Read, ReadReady, Write};

/// Everything on the board that the firmware uses.
pub(crate) struct Board {
    pub(crate) uart: Uart,
    pub(crate) clock: Clock,
}

impl Board {
    /// The board, switched on; `None` when it was taken before.
    pub(crate) fn take() -> Option<Self> {
        static IS_TAKEN: AtomicBool = AtomicBool::new(false);
        // Nothing interrupts the start, so a load and a store are as good as a swap, which a
        // Cortex-M0+ does not have.
        if IS_TAKEN.load(Ordering::Relaxed) {
            return None;
        }
        IS_TAKEN.store(true, Ordering::Relaxed);
        Some(Self { uart: Uart::start(), clock: Clock::start() })
    }
}

/// UART 0, polled. The emulator sends a byte when the last one was read; on a real line a buffer
/// that an interrupt fills has to stand between.
pub(crate) struct Uart {
    data: Register,
    state: Register,
}

impl Uart {
    fn start() -> Self {
        Register(UART + 0x10).write(CLOCK_HZ / BAUD);
        Register(UART + 0x08).write(UART_ENABLED);
        Self { data: Register(UART), state: Register(UART + 0x04) }
    }
}

impl ErrorType for Uart {
    type Error = Infallible;
}

impl ReadReady for Uart {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(self.state.read() & RECEIVER_FULL != 0)
    }
}

impl Read for Uart {
    fn read(&mut self, out: &mut [u8]) -> Result<usize, Infallible> {
        let Some(place) = out.first_mut() else { return Ok(0) };
        while self.state.read() & RECEIVER_FULL == 0 {}
        *place = self.data.read() as u8;
        Ok(1)
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        for byte in bytes {
            while self.state.read() & TRANSMITTER_FULL != 0 {}
            self.data.write(u32::from(*byte));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        while self.state.read() & TRANSMITTER_FULL != 0 {}
        Ok(())
    }
}

/// Milliseconds since the start, from timer 0, which counts down at the clock of the processor.
pub(crate) struct Clock {
    value: Register,
    last: u32,
    /// Ticks that are not a whole millisecond yet.
    ticks: u32,
    ms: u32,
}

impl Clock {
    fn start() -> Self {
        Register(TIMER + 0x08).write(u32::MAX);
        let value = Register(TIMER + 0x04);
        value.write(u32::MAX);
        Register(TIMER).write(TIMER_ENABLED);
        Self { value, last: u32::MAX, ticks: 0, ms: 0 }
    }

    /// Has to be called at least every 171 s, when the timer starts over.
    pub(crate) fn now_ms(&mut self) -> u32 {
        let value = self.value.read();
        self.ticks += self.last.wrapping_sub(value) % TICKS_MAX;
        self.last = value;
        self.ms = self.ms.wrapping_add(self.ticks / TICKS_PER_MS);
        self.ticks %= TICKS_PER_MS;
        self.ms
    }
}

/// A register at an address of the manual.
struct Register(usize);

impl Register {
    fn read(&self) -> u32 {
        // SAFETY: only `start` makes registers, of peripherals that the board has at these
        // addresses; reading them is defined, and nothing else refers to them as memory.
        unsafe { read_volatile(with_exposed_provenance_mut(self.0)) }
    }

    fn write(&self, value: u32) {
        // SAFETY: as for reading; a write changes the peripheral only.
        unsafe { write_volatile(with_exposed_provenance_mut(self.0), value) }
    }
}

const CLOCK_HZ: u32 = 25_000_000;
const TICKS_PER_MS: u32 = CLOCK_HZ / 1_000;
/// So that the sum of ticks does not overflow.
const TICKS_MAX: u32 = u32::MAX - TICKS_PER_MS;

const UART: usize = 0x4000_4000;
const BAUD: u32 = 115_200;
const UART_ENABLED: u32 = 0b11;
const TRANSMITTER_FULL: u32 = 0b01;
const RECEIVER_FULL: u32 = 0b10;

const TIMER: usize = 0x4000_0000;
const TIMER_ENABLED: u32 = 0b1;
