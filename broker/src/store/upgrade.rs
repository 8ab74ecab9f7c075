//! Files of the versions 1 and 2 become files of this one.
//!
//! Their tables have columns of many types, and those of the state of the rules have keys that are
//! little-endian. All rows are copied in the transaction of the start, so a crash leaves the old
//! file; the pages of the old tables are free afterwards.

use std::borrow::Cow;
use std::cell::Cell;
use std::cmp::Ordering;
use std::ops::RangeInclusive;

use redb::{
    Key, ReadableTable as _, TableDefinition, TableError, TableHandle as _, TypeName, Value,
    WriteTransaction,
};

use crate::store::schema::{self, META, META_FORMAT_VERSION, Rows};

/// The versions that are made to the present one.
pub(crate) const OLDER_VERSIONS: RangeInclusive<u64> = 1..=2;

/// What the engine has to be told about a table of an older version.
#[derive(Clone, Copy)]
pub(crate) struct Columns {
    pub(crate) key: Column,
    pub(crate) value: Column,
}

/// How the keys, or the values, of a table were described.
#[derive(Clone, Copy)]
pub(crate) struct Column {
    pub(crate) width: Option<usize>,
    pub(crate) type_name: fn() -> TypeName,
}

/// The version of a file whose `meta` has the columns of an older one.
pub(crate) fn version(transaction: &WriteTransaction) -> Result<Option<u64>, redb::Error> {
    let mut version = None;
    let visit = |name: &[u8], number: &[u8]| {
        if name == META_FORMAT_VERSION.as_bytes() {
            version = Some(schema::number(number)?);
        }
        Ok(())
    };
    each_row(transaction, META, columns(META.name()), visit)?;
    Ok(version)
}

/// Copies all rows into tables of the present columns, which take the names of the old ones.
pub(crate) fn upgrade(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    for table in schema::TABLES {
        match transaction.rename_table(table, OLD) {
            // That of a version that did not have it.
            Err(TableError::TableDoesNotExist(_)) => continue,
            renamed => renamed?,
        }
        let mut rows = transaction.open_table(table)?;
        each_row(transaction, OLD, columns(table.name()), |key, value| {
            rows.insert(&*key_now(table.name(), key), value)?;
            Ok(())
        })?;
        transaction.delete_table(OLD)?;
    }
    Ok(())
}

/// The key of a row as it is in this version.
pub(crate) fn key_now<'k>(table: &str, key: &'k [u8]) -> Cow<'k, [u8]> {
    if table == schema::RULE_DELTA.name() || table == schema::RULE_SNAPSHOT.name() {
        return key.iter().rev().copied().collect();
    }
    Cow::Borrowed(key)
}

/// The columns that a table had.
pub(crate) fn columns(table: &str) -> Columns {
    match table {
        "cursor" | "session" => Columns::of::<&[u8; 5], &[u8]>(),
        "inflight_out" => Columns::of::<&[u8; 7], u64>(),
        "log" => Columns::of::<&[u8; 9], &[u8]>(),
        "meta" => Columns::of::<&str, u64>(),
        "position" => Columns::of::<u8, u64>(),
        "reader" => Columns::of::<&str, u16>(),
        "reader_cursor" => Columns::of::<&[u8; 3], u64>(),
        "received_qos2" => Columns::of::<&[u8; 7], ()>(),
        "retained" => Columns::of::<&str, &[u8]>(),
        "rule_delta" => Columns::of::<u64, &[u8]>(),
        "rule_snapshot" => Columns::of::<u32, &[u8]>(),
        "subscription" => Columns::of::<&[u8], &[u8; 5]>(),
        other => unreachable!("the store has no table {other}"),
    }
}

impl Columns {
    fn of<K: Key, V: Value>() -> Self {
        Self { key: Column::of::<K>(), value: Column::of::<V>() }
    }
}

impl Column {
    fn of<T: Value>() -> Self {
        Self { width: T::fixed_width(), type_name: T::type_name }
    }
}

/// Hands out every row of a table with old columns, in the order of its keys.
fn each_row(
    transaction: &WriteTransaction,
    table: Rows,
    columns: Columns,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), redb::Error>,
) -> Result<(), redb::Error> {
    COLUMNS.set(Some(columns));
    let table: TableDefinition<'_, Old<true>, Old<false>> = TableDefinition::new(table.name());
    let table = transaction.open_table(table)?;
    for row in table.iter()? {
        let (key, value) = row?;
        visit(key.value(), value.value())?;
    }
    Ok(())
}

thread_local! {
    /// The columns of the one table that [`each_row`] goes through. A type cannot say at run time
    /// what it is like; without this each of the old pairs of types would be compiled for nothing
    /// else.
    static COLUMNS: Cell<Option<Columns>> = const { Cell::new(None) };
}

/// A key, or a value, of whatever type the columns say.
#[derive(Debug)]
struct Old<const IS_KEY: bool>;

impl<const IS_KEY: bool> Old<IS_KEY> {
    fn column() -> Column {
        let columns = COLUMNS.get().expect("set before such a table is opened");
        if IS_KEY { columns.key } else { columns.value }
    }
}

impl<const IS_KEY: bool> Value for Old<IS_KEY> {
    type SelfType<'a> = &'a [u8];
    type AsBytes<'a> = &'a [u8];

    fn fixed_width() -> Option<usize> {
        Self::column().width
    }

    fn from_bytes<'a>(data: &'a [u8]) -> &'a [u8]
    where
        Self: 'a,
    {
        data
    }

    fn as_bytes<'a, 'b: 'a>(value: &'a &'b [u8]) -> &'a [u8] {
        value
    }

    fn type_name() -> TypeName {
        (Self::column().type_name)()
    }
}

impl Key for Old<true> {
    fn compare(_: &[u8], _: &[u8]) -> Ordering {
        unreachable!("a table that is gone through as a whole is not searched")
    }
}

/// What a table is called while its rows go to the one that gets its name.
const OLD: Rows = TableDefinition::new("old");
