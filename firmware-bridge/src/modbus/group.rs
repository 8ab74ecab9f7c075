//! Which registers are asked for together.
//!
//! Values that stand side by side, of the same table and read as often, are one request. Registers
//! in between that nobody asked for are never read: devices refuse a request that touches one they
//! do not have.

use crate::config::{ReadConfig, Table};

/// One read, as a device sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The table.
    pub table: Table,
    /// First register or bit.
    pub first: u16,
    /// How many.
    pub count: u16,
}

/// Values that are read with one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) request: Request,
    /// Places in the list of values of the device.
    pub(crate) values: Vec<usize>,
    pub(crate) every_ms: u64,
    pub(crate) due_ms: u64,
}

/// Puts the values of a device into groups.
pub(crate) fn grouped(reads: &[ReadConfig], now_ms: u64) -> Vec<Group> {
    let mut order: Vec<usize> = (0..reads.len()).collect();
    let every_ms = |read: &ReadConfig| (read.every.as_millis() as u64).max(1);
    order.sort_by_key(|index| {
        let read = &reads[*index];
        (every_ms(read), read.place.table, read.place.register)
    });
    let mut groups: Vec<Group> = Vec::new();
    for index in order {
        let read = &reads[index];
        let single = alone(index, read, every_ms(read), now_ms);
        match groups.last_mut() {
            Some(group) if group.takes(&single) => {
                let end = end(&group.request).max(end(&single.request));
                // The request starts at or before the value, and both are below 65,536.
                group.request.count = (end - u32::from(group.request.first)) as u16;
                group.values.push(index);
            }
            _ => groups.push(single),
        }
    }
    groups
}

/// The same values, each with a request of its own.
pub(crate) fn apart(group: &Group, reads: &[ReadConfig]) -> Vec<Group> {
    let alone = |index: &usize| alone(*index, &reads[*index], group.every_ms, group.due_ms);
    group.values.iter().map(alone).collect()
}

fn alone(index: usize, read: &ReadConfig, every_ms: u64, due_ms: u64) -> Group {
    let place = &read.place;
    let request = Request { table: place.table, first: place.register, count: place.length() };
    Group { request, values: vec![index], every_ms, due_ms }
}

/// The first place behind a request.
fn end(request: &Request) -> u32 {
    u32::from(request.first) + u32::from(request.count)
}

impl Group {
    fn takes(&self, other: &Self) -> bool {
        let most = if self.request.table.is_bits() { BITS_MAX } else { REGISTERS_MAX };
        let length = end(&self.request).max(end(&other.request)) - u32::from(self.request.first);
        self.every_ms == other.every_ms
            && self.request.table == other.request.table
            && u32::from(other.request.first) <= end(&self.request)
            && length <= most
    }
}

/// The most that one request may ask for (MODBUS Application Protocol 1.1b3, 6.1 and 6.3).
const BITS_MAX: u32 = 2_000;
const REGISTERS_MAX: u32 = 125;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{RegisterPlace, RegisterType, WordOrder};

    fn read(table: Table, register: u16, type_: RegisterType, every_s: u64) -> ReadConfig {
        let word_order = WordOrder::HighFirst;
        ReadConfig {
            name: String::new(),
            place: RegisterPlace { table, register, type_, word_order, scale: 1.0 },
            unit_name: String::new(),
            every: Duration::from_secs(every_s),
        }
    }

    fn requests(reads: &[ReadConfig]) -> Vec<(Table, u16, u16, Vec<usize>)> {
        let groups = grouped(reads, 0).into_iter();
        groups
            .map(|group| {
                let Request { table, first, count } = group.request;
                (table, first, count, group.values)
            })
            .collect()
    }

    #[test]
    fn neighbours_are_one_request_and_gaps_are_not_read() {
        let reads = [
            read(Table::Holding, 4, RegisterType::U16, 10),
            read(Table::Holding, 0, RegisterType::F32, 10),
            read(Table::Holding, 2, RegisterType::U32, 10),
            read(Table::Holding, 6, RegisterType::U16, 10),
            read(Table::Holding, 5, RegisterType::U16, 60),
            read(Table::Input, 0, RegisterType::U16, 10),
            read(Table::Coil, 1, RegisterType::U16, 10),
            read(Table::Coil, 2, RegisterType::U16, 10),
        ];
        assert_eq!(
            requests(&reads),
            [
                (Table::Coil, 1, 2, vec![6, 7]),
                (Table::Holding, 0, 5, vec![1, 2, 0]),
                (Table::Holding, 6, 1, vec![3]),
                (Table::Input, 0, 1, vec![5]),
                (Table::Holding, 5, 1, vec![4]),
            ]
        );
    }

    #[test]
    fn request_is_not_longer_than_the_standard_allows() {
        let reads: Vec<_> =
            (0..300).map(|register| read(Table::Holding, register, RegisterType::U16, 1)).collect();
        let lengths: Vec<_> = requests(&reads).into_iter().map(|(_, _, count, _)| count).collect();
        assert_eq!(lengths, [125, 125, 50]);
        let reads = [
            read(Table::Holding, 65_534, RegisterType::U32, 1),
            read(Table::Holding, 65_533, RegisterType::U16, 1),
        ];
        assert_eq!(requests(&reads), [(Table::Holding, 65_533, 3, vec![1, 0])]);
    }

    #[test]
    fn group_can_be_taken_apart() {
        let reads = [
            read(Table::Holding, 0, RegisterType::U32, 1),
            read(Table::Holding, 2, RegisterType::U16, 1),
        ];
        let apart = apart(&grouped(&reads, 5)[0], &reads);
        assert_eq!(apart.len(), 2);
        assert_eq!(apart[0].request, Request { table: Table::Holding, first: 0, count: 2 });
        assert_eq!((apart[1].due_ms, &apart[1].values), (5, &vec![1]));
    }
}
