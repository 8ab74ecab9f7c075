//! The bytes that wait to be written to one connection.
//!
//! A buffer exists only while something waits: an idle connection holds none. Emptied buffers
//! go to a small pool, so a steady flow of deliveries allocates nothing.

/// Buffers kept for the next connection that has something to say.
const POOLED_BUFFERS_MAX: usize = 256;
/// A buffer that grew past this is given back to the allocator instead.
const POOLED_BYTES_MAX: usize = 64 * 1024;
/// What those that are kept may take together: a burst leaves no more behind.
const POOL_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes on their way to a client.
#[derive(Debug, Default)]
pub struct Outbound {
    bytes: Vec<u8>,
    written: usize,
    /// Packets appended since the buffer was empty.
    packets: u32,
}

impl Outbound {
    /// What is still to be written.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or_default()
    }

    /// Number of bytes still to be written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// True when nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the buffer takes.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Packets of which not all is written, and those before them in the same buffer.
    pub(crate) fn packets(&self) -> u32 {
        self.packets
    }

    /// A packet was appended.
    pub(crate) fn count_packet(&mut self) {
        self.packets = self.packets.saturating_add(1);
    }

    /// Where new bytes go; taken from the pool when there was no buffer.
    pub(crate) fn buffer(&mut self, pool: &mut BufferPool) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = pool.take();
        }
        &mut self.bytes
    }

    /// Marks `count` bytes as written; the buffer goes back to the pool when it is empty.
    pub(crate) fn consume(&mut self, count: usize, pool: &mut BufferPool) {
        assert!(count <= self.len(), "no more can be written than waits");
        self.written += count;
        if self.is_empty() {
            self.release(pool);
        } else if self.written > POOLED_BYTES_MAX && self.written * 2 > self.bytes.len() {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
    }

    /// Drops what waits.
    pub(crate) fn release(&mut self, pool: &mut BufferPool) {
        self.written = 0;
        self.packets = 0;
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        pool.give(bytes);
    }
}

/// Empty buffers that wait for a connection.
#[derive(Debug, Default)]
pub(crate) struct BufferPool {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

impl BufferPool {
    fn take(&mut self) -> Vec<u8> {
        let buffer = self.buffers.pop().unwrap_or_default();
        self.bytes -= buffer.capacity();
        buffer
    }

    fn give(&mut self, buffer: Vec<u8>) {
        let bytes = self.bytes + buffer.capacity();
        if (1..=POOLED_BYTES_MAX).contains(&buffer.capacity())
            && self.buffers.len() < POOLED_BUFFERS_MAX
            && bytes <= POOL_BYTES_MAX
        {
            self.buffers.push(buffer);
            self.bytes = bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emptied_buffer_serves_the_next_connection() {
        let mut pool = BufferPool::default();
        let mut first = Outbound::default();
        first.buffer(&mut pool).extend_from_slice(b"hello");
        let at = first.bytes().as_ptr();
        first.consume(5, &mut pool);
        assert_eq!(first.bytes.capacity(), 0, "an idle connection holds no buffer");
        let mut second = Outbound::default();
        second.buffer(&mut pool).extend_from_slice(b"world");
        assert_eq!(second.bytes().as_ptr(), at);
    }

    #[test]
    fn the_pool_is_bounded_by_what_its_buffers_take() {
        let mut pool = BufferPool::default();
        for _ in 0..POOLED_BUFFERS_MAX {
            pool.give(Vec::with_capacity(POOLED_BYTES_MAX));
        }
        assert_eq!(pool.buffers.len(), POOL_BYTES_MAX / POOLED_BYTES_MAX);
        let kept = pool.buffers.len();
        (0..2 * kept).for_each(|_| drop(pool.take()));
        assert_eq!((pool.buffers.len(), pool.bytes), (0, 0));
    }

    #[test]
    fn a_partial_write_leaves_the_rest() {
        let mut pool = BufferPool::default();
        let mut outbound = Outbound::default();
        outbound.buffer(&mut pool).extend_from_slice(b"hello");
        outbound.consume(2, &mut pool);
        assert_eq!(outbound.bytes(), b"llo");
    }
}
