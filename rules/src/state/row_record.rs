//! The record of a row of a table: [`KEYS_MAX`] plus the number of the table, so that it cannot be
//! taken for the record of a key; the key; whether the row is there; its last use and its value.

use super::bytes::{Reader, push_bytes, push_number, push_signed};
use crate::limits::KEYS_MAX;
use crate::table::{Row, Table, TableId};

/// Appends the record of a row, or that it is gone.
pub(super) fn write_row(id: TableId, key: &[u8], row: Option<&Row>, out: &mut Vec<u8>) {
    push_number((KEYS_MAX + id as usize) as u64, out);
    push_bytes(key, out);
    out.push(u8::from(row.is_some()));
    if let Some(row) = row {
        push_signed(row.used, out);
        push_bytes(&row.value, out);
    }
}

/// The table of the record that comes next, if it is a row.
pub(super) fn table_at(mut reader: Reader<'_>) -> Option<TableId> {
    let number = usize::try_from(reader.number()?).ok()?;
    TableId::ALL.get(number.checked_sub(KEYS_MAX)?).copied()
}

/// Reads a record and changes the table accordingly; an error says what was expected.
pub(super) fn apply_row(reader: &mut Reader<'_>, table: &mut Table) -> Result<(), &'static str> {
    reader.number().ok_or("expected the number of a table")?;
    let key = reader.bytes().ok_or("expected the key of a row")?;
    let row = match reader.byte().ok_or("expected whether there is a row")? {
        0 => None,
        _ => {
            let used = reader.signed().ok_or("expected a time")?;
            let value = reader.bytes().ok_or("expected the value of a row")?;
            Some(Row { used, value: value.into() })
        }
    };
    table.restore(key, row);
    Ok(())
}
