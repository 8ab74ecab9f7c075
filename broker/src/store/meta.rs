//! The numbers that a store keeps about itself.

use redb::{ReadableTable as _, WriteTransaction};

use crate::store::schema::{self, META};

/// The number with a name, if there is one.
pub(crate) fn number(
    transaction: &WriteTransaction,
    name: &str,
) -> Result<Option<u64>, redb::Error> {
    let table = transaction.open_table(META)?;
    let row = table.get(name.as_bytes())?;
    Ok(row.map(|row| schema::number(row.value())).transpose()?)
}

pub(crate) fn put(
    transaction: &WriteTransaction,
    name: &str,
    number: u64,
) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(META)?;
    table.insert(name.as_bytes(), &number.to_le_bytes()[..])?;
    Ok(())
}
